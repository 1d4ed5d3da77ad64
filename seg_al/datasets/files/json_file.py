"""Reads JSON files of annotations; whatever is wrong with one becomes a sentence that names it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_annotations(path: Path) -> Any:
    """The content. FileNotFoundError where no such file is; ValueError, naming it, where it is no JSON in UTF-8."""
    if os.path.exists(path) and not os.path.isfile(path):  # reading a pipe would wait for ever
        raise ValueError(f"{path} is no file")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}); save it again in UTF-8"
        ) from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deep for a JSON file of annotations; write it again") from error
    except MemoryError as error:
        raise ValueError(f"{path} is too large for the memory of this machine; split it") from error
    except json.JSONDecodeError as error:
        cut = "; it is empty, or was cut off" if error.pos >= len(error.doc.rstrip()) - 1 else ""
        raise ValueError(f"{path} is no JSON file ({error}{cut}); copy or write it again") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise ValueError(
            f"{path} holds a whole number of thousands of digits; correct it, or write it again"
        ) from error
