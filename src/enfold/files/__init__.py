"""Files: found in folders, in the cache and on the Hub, read with care, written atomically."""

from enfold.files.atomic import atomic_folder_write
from enfold.files.cache import commit_of
from enfold.files.checkpoint import Checkpoint, open_checkpoint
from enfold.files.hub import HubOptions, find, list_files, resolve
from enfold.files.jsons import read_json, write_json
from enfold.files.upload import create_repository, push_to_hub
from enfold.files.write import write_checkpoint

__all__ = ["Checkpoint", "HubOptions", "atomic_folder_write", "commit_of", "create_repository",
           "find", "list_files", "open_checkpoint", "push_to_hub", "read_json", "resolve",
           "write_checkpoint", "write_json"]
