"""Damaged files of runs, folders that are no runs, passwords and paths in texts."""

from __future__ import annotations

from bad_inputs.damage import change, cut, folder, write
from bad_inputs.goods import Bad, bad_runs
from bad_inputs.line import Damage

RUN = "runs/glands-unet_small-random-run0-*"
ENTROPY = "runs/glands-unet_small-entropy-run0-*"
ANEW = "remove it and run the same command again"
AWAY = "move the folder away and run again"
DEEP = "[" * 100_000


def flipped(name: str, run: str = RUN) -> Damage:
    """Turns one bit in the middle of a file."""

    def edit(content: bytes) -> bytes:
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]

    return change(f"{run}/{name}", edit)


def shorter(name: str) -> Damage:
    """Takes the last line of a file away."""
    return change(f"{RUN}/{name}", lambda content: b"".join(content.splitlines(keepends=True)[:-1]))


def of_round(name: str, damage: Damage) -> Bad:
    """A resumed run reads the file of a round, and goes no further."""
    return bad_runs("rounds=3", f"rounds/{name} cannot be read", ANEW, damage=damage)


def of_weights(damage: Damage) -> Bad:
    """A heuristic of passes needs the networks of the round before."""
    return bad_runs("rounds=3 heuristic=entropy", "rounds/01/weights.pt cannot be read", ANEW, damage=damage)


LINES = [
    of_round("00/queries.jsonl", write(f"{RUN}/rounds/00/queries.jsonl", "")),
    of_round("00/queries.jsonl", shorter("rounds/00/queries.jsonl")),
    of_round("00/queries.jsonl", flipped("rounds/00/queries.jsonl")),
    of_round("01/queries.jsonl", cut(f"{RUN}/rounds/01/queries.jsonl")),
    of_round("01/queries.jsonl", write(f"{RUN}/rounds/01/queries.jsonl", "[1]\n")),
    of_round("01/queries.jsonl", folder(f"{RUN}/rounds/01/queries.jsonl")),
    of_round("00/metrics.json", write(f"{RUN}/rounds/00/metrics.json", "")),
    of_round("00/metrics.json", write(f"{RUN}/rounds/00/metrics.json", "null")),
    of_round("00/metrics.json", write(f"{RUN}/rounds/00/metrics.json", "[1, 2]")),
    of_round("01/metrics.json", write(f"{RUN}/rounds/01/metrics.json", DEEP)),
    of_round("01/metrics.json", write(f"{RUN}/rounds/01/metrics.json", b"\xff\xfe\x00")),
    of_round("01/metrics.json", write(f"{RUN}/rounds/01/metrics.json", '{"cost": {}, "metrics": 3}')),
    of_round("01/metrics.json", flipped("rounds/01/metrics.json")),
    of_weights(cut(f"{ENTROPY}/rounds/01/weights.pt")),
    of_weights(write(f"{ENTROPY}/rounds/01/weights.pt", "")),
    of_weights(write(f"{ENTROPY}/rounds/01/weights.pt", "weights")),
    of_weights(flipped("rounds/01/weights.pt", ENTROPY)),
    of_round("01/agreement.json", cut(f"{RUN}/rounds/01/agreement.json")),
    of_round("01/agreement.json", flipped("rounds/01/agreement.json")),
    of_round("01/asked.json", write(f"{RUN}/rounds/01/asked.json", "[]")),
    of_round("01/truths_read.json", write(f"{RUN}/rounds/01/truths_read.json", "{")),
    of_round("00/weights.effort.json", cut(f"{RUN}/rounds/00/weights.effort.json")),
    of_round("01/metrics.effort.json", write(f"{RUN}/rounds/01/metrics.effort.json", "[3]")),
    of_round("01/queries.effort.json", write(f"{RUN}/rounds/01/queries.effort.json", "{}")),
    bad_runs("rounds=3", "checksums.json cannot be read", "remove it", damage=cut(f"{RUN}/rounds/00/checksums.json")),
    bad_runs(
        "rounds=3", "checksums.json holds no names", "remove it", damage=write(f"{RUN}/rounds/00/checksums.json", "[]")
    ),
    bad_runs("rounds=3", "finished.json cannot be read", damage=write(f"{RUN}/finished.json", "{")),
    *(
        bad_runs("rounds=3", "config.json is damaged", AWAY, damage=write(f"{RUN}/config.json", content))
        for content in ("", "null", "[]", '{"decides": 3}', DEEP)
    ),
    bad_runs("rounds=3", "config.json is damaged", AWAY, damage=folder(f"{RUN}/config.json")),
    bad_runs("scripts/report.py nowhere", "nowhere is not a folder"),
    bad_runs("scripts/tracking.py check nowhere", "nowhere is not a folder"),
    bad_runs("scripts/tracking.py check data", "no run folder at or below data"),
    bad_runs("scripts/tracking.py check runs --database admin", "'admin' is MongoDB's own", "choose another"),
    Bad("folder=.", "is not the folder of a run", "move it away"),
    Bad("folder=tiny.yaml", "tiny.yaml cannot be written", "choose another place"),
    Bad(f"folder={'x' * 300}", "cannot be written", "too long"),
    Bad("\"folder='~/runs'\"", "folder=~/runs: ~ is not expanded here", "$HOME/runs"),
    Bad("\"dataset.root='~'\"", "dataset.root=~: ~ is not expanded here"),
    Bad("\"notes='mongodb://me:pw@host'\"", "notes holds a password or a token", "SEG_AL_MONGO_URL"),
    Bad("\"tags=['http://h/?token=abc']\"", "tags holds a password or a token"),
    Bad("tracking=mongo \"tracking.url='mongodb://h/?access_token=abc'\"", "tracking.url holds a password or a token"),
    Bad("dataset=../dataset/glands", "without a path"),
]
