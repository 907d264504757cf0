"""Datasets in folders: what `save_to_disk` writes and `load_from_disk` reads.

    data-00000-of-00002.arrow ..   Arrow streams
    state.json                     which files, fingerprint, format, split
    dataset_info.json              features and all that is known

of a Dataset; a DatasetDict has dataset_dict.json and such a folder per split.  The format is that
of `datasets`, which reads what is saved here, and the other way round.
"""

from enfold.data.saving.load import load_dataset_dict, load_from_disk, load_saved
from enfold.data.saving.save import save_dataset, save_dataset_dict

__all__ = ["load_dataset_dict", "load_from_disk", "load_saved", "save_dataset",
           "save_dataset_dict"]
