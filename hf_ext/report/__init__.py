"""What a reader of an output folder sees: pictures, the model card, the record of the run.

Takes plain names and numbers; knows no model, no trainer, no file of rows.
"""
