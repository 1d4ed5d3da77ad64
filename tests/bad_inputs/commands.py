"""Lines that a hand mistypes, and combinations of options that make no sense."""

from __future__ import annotations

from bad_inputs.damage import write
from bad_inputs.goods import Bad

OBJECTS = "reads objects, which task=semantic does not find"
CHEAPEST = "buys nothing: the cheapest unit costs"
INITIAL = "choose 1 to 6 images (the pool has 6), all or budget"
TYPED = (
    ("heurisic=random", "did you mean heuristic?"),
    ("model.widht=2", "did you mean model.width?"),
    ("trainer.optimizer.lrr=1", "did you mean trainer.optimizer.lr?"),
    ("dataset.rooot=x", "did you mean dataset.root?"),
    ("granularity=grid granularity.size=0", "did you mean granularity.tile?"),
    ("heuristic=randomm", "heuristic=randomm is no option; "),
    ("model=unett", "model=unett is no option; "),
    ("trainer=semantics", "trainer=semantics is no option; "),
    ("task=nothing", "task=nothing is no option; "),
    ("-m hydra/launcher=ray run=0,1", "hydra/launcher=ray is no option; "),
    ("-m hydra/sweeper=optuna run=0,1", "hydra/sweeper=optuna is no option; "),
    ("+nothing=3", "nothing is not an option of seg_al.running.settings.Settings"),
    ("+model.depthh=3", "model.depthh is not an option of seg_al.models.pooled_unet.PooledUNet"),
    ("++model.widht=3", "did you mean width?"),
    ("~", "Could not delete ''"),
    ("+", "+: mismatched input"),
    ("++", "missing EQUAL"),
    ("~nowhere", "Could not delete from config. 'nowhere' does not exist"),
    ("~trainer.pace", "trainer.pace is missing: seg_al.trainers.trainer.Trainer needs it"),
    ("model={a:1", "model={a:1: choose one option"),
    ("tracking=null", "tracking=null: choose one option, of file, mongo, none"),
    ("model.width=???", "model.width has no value"),
    ("'run=${budget'", "run=${budget: mismatched input"),
    ("model._target_=seg_al.core", "it is no class or function, but module"),
    ("heuristic._target_=builtins.eval", "it is part of Python itself, not of an experiment"),
    ("heuristic._target_=seg_al.core.nothing", "seg_al.core has no nothing; did you mean Nothing?"),
    ("trainer._target_=", "trainer._target_= cannot be imported"),
    ("budget=true", "budget=True: a number is needed, not true"),
    ("budget=nan", "a number is needed, and NaN is none"),
    ("rounds=1.5", "rounds=1.5: a whole number is needed"),
    ("initial=0.5", "a whole number or all or budget is needed"),
    ("per=nothing", "per=nothing: pool or image is needed"),
    ("cost=euros", "cost=euros: images or pixels or regions is needed"),
    ("keep_weights=some", "keep_weights=some: last or all is needed"),
    ("scoring=float8", "scoring=float8: same or bfloat16 is needed"),
    ("device=cuda:99", "device=cuda:99: auto or cpu or cuda is needed"),
    ("precision=16-mixed", "auto or float32 or bfloat16 or float16 is needed"),
    ("gpus=2", "gpus=2: shared or one_each is needed"),
    ("--budget=3", "unrecognized arguments: --budget=3"),
    ("--multirun=3", "ignored explicit argument '3'"),
    ("--cfg", "expected one argument"),
    ("--info nothing", "invalid choice: 'nothing'"),
    ("-m run=choice()", "empty choice is not legal"),
    ("-m run=range(0,3,0)", "never ends: give it an end, and a step other than 0"),
    ("-m run=glob(*)", "this sweep has no job: run=glob(*) holds no value, or matches no option"),
    ("-m hydra/launcher=joblib hydra.launcher.backend=nothing run=0,1", "backend=nothing: joblib has", "loky"),
    ("precision=float16", "precision=float16 needs a GPU"),
    ("trainer.batch_size=3 devices=2", "does not divide among devices=2"),
    ("-m run=0,,1", "extraneous input ','"),
    ("-m run=0,x,1", "no job of this sweep was started", "run=x: a whole number is needed"),
    ("-m run=0,1 budget=1,x", "no job of this sweep was started", "budget=x: a number is needed"),
    ("-m rounds=2 budget=1,0.5,2", "no job of this sweep was started", CHEAPEST),
)
SENSELESS = (
    ("rounds=2 budget=0.5", "budget=0.5 images " + CHEAPEST),
    ("rounds=2 cost=pixels budget=1", "budget=1 pixels " + CHEAPEST),
    ("rounds=2 budget=0.5 per=image", CHEAPEST),
    ("rounds=2 cost=regions granularity=pixel budget=0.2", "budget=0.2 regions " + CHEAPEST),
    ("budget=-1", "a round must be able to ask for something"),
    ("rounds=0", "rounds=0: at least 1"),
    ("subset=0", "subset=0: at least 1"),
    ("shortlist=0", "shortlist=0: at least 1"),
    ("devices=0", "devices=0: at least 1"),
    ("initial=0", INITIAL),
    ("initial=100", INITIAL),
    ("heuristic=object_box", OBJECTS),
    ("heuristic=cells", OBJECTS),
    ("predictor=single", "heuristic=bald compares at least 2 passes, but the predictor draws 1"),
    ("mc_iters=1 heuristic=bald", "use predictor=mc_dropout with mc_iters=2 or more"),
    ("predictor=deep_ensemble predictor.members=0", "predictor.members=0: choose at least 1"),
    ("predictor=tta mc_iters=0", "predictor.passes=0, which mc_iters sets"),
    ("model.dropout=0 heuristic=bald", "draws passes with dropout, but the model has none"),
    ("granularity=instance", "granularity reads objects, which task=semantic does not find"),
    ("granularity=image_objects", "task and trainer follow it"),
    ("task=instances", "trainer.loss is made for task=semantic, but task=instances"),
    ("-m hydra/launcher=submitit_local hydra.launcher.timeout_min=0 run=0,1", "hydra.launcher.timeout_min=0"),
    ("-m hydra/launcher=submitit_slurm run=0,1", "sbatch, which is not on this machine"),
)
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{y}: &{y} [{','.join(['*' + x] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)
)
STUDIES = (
    (
        "-cn broken",
        "broken.yaml",
        "a: [1",
    ),
    ("-cn broken", "broken.yaml", "\ta: 1"),
    ("-cn broken", "broken.yaml", BOMB),
    ("-cn broken", "broken.yaml", "a: &a [*a]"),
    ("-cn broken", "broken.yaml", "x"),
    ("-cn broken", "broken.yaml", "- 1"),
    ("-cn broken", "broken.yaml", b"\xff\xfe\x00"),
    ("-cn broken", "broken.yaml", "defaults: 5"),
    ("-cn broken", "broken.yaml", "defaults: [nothing]"),
    ("-cn broken", "broken.yaml", "defaults: [config, {heuristic: [1, 2"),
    ("-cn broken", "broken.yaml", "a: 1\na: 2"),
)
"""A study, and the name and the content of its damaged file; its message names one of both."""
LINES = [
    Bad("-cn broken", "a config holds itself", damage=write("broken.yaml", "defaults: [config, broken]")),
    *(Bad(line, "broken", damage=write(name, content)) for line, name, content in STUDIES),
    *(Bad(line, *words) for line, *words in TYPED),
    *(Bad(line, *words) for line, *words in SENSELESS),
]
