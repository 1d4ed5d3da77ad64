// The shapes of a protocol stand in its source, so the source is shown.
document.querySelectorAll("details.mkdocstrings-source").forEach((source) => { source.open = true })
