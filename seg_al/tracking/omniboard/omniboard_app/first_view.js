// Runs in the browser before Omniboard, which keeps its columns in the browser and then forgets those that come later.
// A browser that has no columns yet starts with those of the database in front and all others hidden; a browser that
// has some keeps them and is told of the new ones. Nothing that the user has chosen is changed. A metric's column is
// shown from the first run on that has it: a study of objects has other ones than a study of classes.
(function () {
  "use strict";
  const TABLE = "default|RunsTable|1";
  const PLOT = "undefined|MetricsPlotView|default"; // Omniboard 2.16.1 forgets to name the database here
  const WIDTHS = {
    _id: 50, heuristic: 150, model: 150, run: 60, status: 110, images: 80, duration: 90, tags: 200, notes: 230,
  };
  const METRIC_WIDTH = 90;
  const HIDDEN = {
    experiment_name: "experiment.name", hostname: "host.hostname", command: null, result: null, heartbeat: null,
    stop_time: null, start_time: null, format: null, resources: null,
  };

  function get(path) {
    const request = new XMLHttpRequest();
    request.open("GET", `/sacred/api/v1/${path}`, false); // Omniboard reads the browser's store at once
    request.send();
    if (request.status !== 200) throw new Error(`${path}: ${request.status}`);
    return JSON.parse(request.responseText);
  }

  function stored(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  }

  function title(key) {
    return key.replace(/^c_/, "").replace(/_/g, " ").replace(/\b\w/g, (letter) => letter.toUpperCase()).trim();
  }

  function add(view, key, path, shown, width = shown ? 105 : 150, place = view.columnOrder.length) {
    if (view.dropdownOptions.some((option) => option.value === key)) return;
    view.dropdownOptions.push({ label: title(key), value: key, selected: shown });
    view.columnWidths[key] = WIDTHS[key] || width;
    if (path) view.columnNameMap[key] = path;
    if (shown) view.columnOrder.splice(place, 0, key);
  }

  function addMetrics(view, names) {
    const measured = new Set(get("Runs?distinct=info.metrics.name"));
    names.filter(({ metric }) => measured.has(metric)).forEach(({ name }) => {
      const last = Math.max(...names.map((other) => view.columnOrder.indexOf(other.name)));
      add(view, name, null, true, METRIC_WIDTH, last < 0 ? undefined : last + 1);
    });
  }

  function table() {
    const old = stored(TABLE);
    const fresh = !old || !old.columnOrder || old.columnOrder.length === 0;
    const view = {
      ...old, columnOrder: [], dropdownOptions: [], columnWidths: {}, columnNameMap: {}, metricAndCustomColumns: [],
      ...(fresh ? {} : old),
    };
    const custom = get("Omniboard.Custom.Columns").map(({ name, config_path }) => ({ name, value: config_path }));
    const metrics = get("Omniboard.Metric.Columns")
      .map(({ name, metric_name }) => ({ name, value: name, metric: metric_name }));
    add(view, "_id", null, true);
    custom.forEach(({ name, value }) => add(view, name, value, true));
    add(view, "status", null, true);
    addMetrics(view, metrics);
    add(view, "duration", null, true);
    add(view, "tags", "omniboard.tags", true);
    add(view, "notes", "omniboard.notes", true);
    Object.entries(HIDDEN).forEach(([key, path]) => add(view, key, path, false));
    const keys = new Set(get("Runs?select=config&limit=200").flatMap((run) => Object.keys(run.config || {})));
    [...keys].sort().forEach((key) => add(view, `c_${key}`, `config.${key}`, false));
    const known = new Set(view.metricAndCustomColumns.map(({ name }) => name));
    const all = [...metrics, ...custom].map(({ name, value }) => ({ name, value })); // else Omniboard shows them itself
    view.metricAndCustomColumns.push(...all.filter(({ name }) => !known.has(name)));
    localStorage.setItem(TABLE, JSON.stringify(view));
  }

  function plot() {
    const view = stored(PLOT) || {};
    const options = view.metricNameOptions || [];
    const known = new Set(options.map((option) => option.value));
    const names = new Set(get("Omniboard.Metric.Columns").map((column) => column.metric_name));
    const news = [...names].filter((name) => !known.has(name));
    options.push(...news.map((name) => ({ label: name, value: name, selected: !name.startsWith("cost/") })));
    if (options.length) localStorage.setItem(PLOT, JSON.stringify({ ...view, metricNameOptions: options }));
  }

  try {
    table();
    plot();
  } catch (error) {
    console.warn("Omniboard starts with its own columns:", error);
  }
})();
