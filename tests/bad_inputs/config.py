"""What a config may not say: groups, kinds of values, misspellings, words of Hydra, sweeps and launchers."""

from __future__ import annotations

from bad_inputs.goods import Bad

LINES = [
    Bad("budget=x", "budget=x: a number is needed"),
    Bad("budget=[1,x]", "budget=[1, 'x']: a number is needed"),
    Bad("budget=[true]", "budget=[True]: a number is needed, not true"),
    Bad("buget=2", "buget is not in the config; did you mean budget?"),
    Bad("-m run=0,1 mc_iters=0", "no job of this sweep was started", "mc_iters sets: at least 1 pass is needed"),
    # ranges
    Bad("trainer.schedule.warmup=2", "trainer.schedule.warmup=2: a number at least 0 and below 1"),
    Bad("trainer.schedule.floor=-0.1", "trainer.schedule.floor=-0.1: a number from 0 to 1"),
    Bad("trainer.validation.times=0", "trainer.validation.times=0: a number at least 1"),
    Bad("trainer.pace.repeats=-1", "trainer.pace.repeats=-1: a number at least 1"),
    Bad("trainer.pace.steps=-5", "trainer.pace.steps=-5: a number at least 0"),
    Bad("trainer.optimizer.momentum=2", "trainer.optimizer.momentum is not in the config: no option that is chosen"),
    Bad(
        "trainer=quick_v0 trainer.optimizer.momentum=2", "trainer.optimizer.momentum=2: a number at least 0 and below 1"
    ),
    Bad("trainer.optimizer.lr=-1", "trainer.optimizer.lr=-1: a number above 0"),
    Bad("trainer.optimizer.weight_decay=-1", "trainer.optimizer.weight_decay=-1: a number at least 0"),
    Bad("trainer.augmentation.brightness=-1", "trainer.augmentation.brightness=-1: a number at least 0"),
    Bad("trainer.augmentation.hue=3", "trainer.augmentation.hue=3: a number from 0 to 0.5"),
    Bad("trainer.batch_size=1000000000", "trainer.batch_size=1000000000: a number from 1 to 65536"),
    Bad("model.width=1000000", "model.width=1000000: a number from 1 to 1024"),
    Bad("heuristic=axon_myelin heuristic.background=9", "heuristic.background=9 is no class id; choose 0 to 1"),
    Bad("selector=clasp_pe selector.background=9", "selector.background=9 is no class id; choose 0 to 1 (background"),
    # groups
    Bad("dataset=nowhere", "dataset=nowhere is no option; ", "cityscapes"),
    Bad("heuristic=null", "heuristic=null: choose one option, of axon_myelin, bald"),
    Bad("heuristic=", "heuristic=: choose one option"),
    Bad("model=[a,b]", "model=[a,b]: choose one option", "-m model=FIRST,SECOND"),
    Bad("model=unet,fpn", "Ambiguous value for argument 'model=unet,fpn'", "add --multirun"),
    Bad("~model", "model._target_ is missing"),
    Bad("~dataset._target_", "dataset._target_ is missing"),
    Bad("dataset=../dataset/glands", "an option is the name of a file in a folder dataset/"),
    Bad("trainer=${nothing}", "Error resolving interpolation '${nothing}'"),
    # what a group may be made of
    Bad("heuristic._target_=math.pi", "it is part of Python itself, not of an experiment"),
    Bad("heuristic._target_=3", "heuristic._target_=3", "the name of a class or function is needed"),
    Bad("heuristic._target_=nowhere.Mine", "cannot be imported: No module named 'nowhere'"),
    Bad("heuristic._target_=joblib.load", "heuristic._target_=joblib.load does not say what it returns"),
    Bad("dataset._target_=os.system", "it is part of Python itself, not of an experiment"),
    Bad("heuristic._target_=functools.partial", "heuristic._target_=functools.partial"),
    Bad("trainer.schedule._target_=functools.partial", "trainer.schedule._target_=functools.partial"),
    Bad("trainer.optimizer._target_=subprocess.Popen", "it is part of Python itself, not of an experiment"),
    Bad("+heuristic.x=[{_target_:os.system}]", "heuristic.x[0]._target_=os.system"),
    Bad("model._target_=torch.nn.Identity", "is no Model: it has no decode, encode, repeat"),
    Bad("model._partial_=false", "is made later: set model._partial_=true"),
    Bad("heuristic._target_=seg_al.selectors.top.Top", "is no Heuristic: it has no min_passes"),
    Bad("task._target_=seg_al.trainers.trainer.Trainer", "is no Task: it has no"),
    Bad(
        "trainer.pace._target_=seg_al.training.pace.PolyDecay", "is no Steps: that is called with labelled, batch_size"
    ),
    # words
    Bad("budget=???", "budget has no value; give it one, as in budget=VALUE"),
    Bad("budget", "Error parsing override 'budget'", "missing EQUAL"),
    Bad("=3", "=3: before = a key is needed"),
    Bad("~budget", "budget is missing"),
    Bad("~nothing", "Could not delete from config. 'nothing' does not exist"),
    Bad("++budget={a:1}", "budget={'a': 1}: a number is needed"),
    Bad("budget=${nothing}", "budget: Interpolation key 'nothing' not found"),
    Bad(
        "budget=${oc.env:NOTHING}",
        "budget: KeyError raised while resolving",
        "Environment variable 'NOTHING' not found",
    ),
    Bad("budget=${budget}", "budget: Recursive interpolation detected"),
    Bad("'budget=[1'", "no viable alternative", "budget=[1: "),
    Bad("hydra.mode=nothing", "Invalid value 'nothing', expected one of [RUN, MULTIRUN]"),
    Bad("-cn nothing", "Cannot find primary config 'nothing'"),
    Bad("-cd nowhere", "Additional config directory", "nowhere' not found"),
    Bad("--nothing", "unrecognized arguments: --nothing"),
    # sweeps and launchers
    Bad("-m run=", "run=: a whole number is needed"),
    Bad("-m 'run=range(0,3'", "no viable alternative at input 'range(0,3'"),
    Bad("-m 'run=range(0,0)'", "this sweep has no job: run=range(0,0) holds no value"),
    Bad("-m 'run=range(0,200001)'", "this sweep has 200001 jobs", "at most 10000"),
    Bad("-m 'run=range(0,1000000000)' budget=1,2", "this sweep has 2000000000 jobs, by ", "budget=1,2 (2)"),
    Bad("-m hydra/launcher=nothing", "hydra/launcher=nothing is no option; "),
    Bad("-m hydra/launcher=slurm run=0,1", "sbatch, which is not on this machine"),
    Bad(
        "-m hydra/launcher=joblib hydra.launcher.n_jobs=0 run=0,1", "hydra.launcher.n_jobs=0: at least 1 run at a time"
    ),
    Bad("hydra/launcher=joblib hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: at least 1 run at a time"),
    Bad("-m hydra/launcher=local_processes hydra.launcher.timeout_min=0", "hydra.launcher.timeout_min=0: at least 1"),
    Bad("-m hydra.sweeper.max_batch_size=0 run=0,1", "hydra.sweeper.max_batch_size=0: at least 1 job at a time"),
    # kinds and ranges at the root
    Bad("tags=paper", "tags=paper: a list is needed, as in [paper]"),
    Bad("threads=100000", "threads=100000: at most 1024"),
    Bad("run=-1", "run=-1: at least 0"),
    Bad("run=99999999999999999999", "run=99999999999999999999: at most 4294967295"),
]
