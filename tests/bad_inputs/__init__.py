"""The table of bad inputs: lines of command, and the words that the message to each must hold.

To add a line, append it to LINES in the file of its area (or make a new file with LINES; it is found by itself):

    from bad_inputs.goods import FOLDER, Bad
    from bad_inputs.damage import cut

    Bad("budget=???", "budget", "has no value")                      # as typed after `python run.py`
    Bad("-m run=0,1 mc_iters=0", "mc_iters sets")                    # a sweep
    Bad("scripts/compare.py nowhere", "nowhere")                     # another program
    Bad("", "train_3.png", "is cut", on=FOLDER, damage=cut("train/images/train_3.png"))

`on` is what lies in the current directory, made by goods.py: GLANDS (the default), FOLDER, COCO, GLAS or RUNS. Its data
are read unless the line says otherwise. `damage` is called with that directory, a copy of it, before the line runs.
Each line must end with an exit that is not 0, in these words, without a traceback, and leave no folder of a run.
"""
