"""Files of a public repository at a commit: for data that no hub has. They are read from ``GROUPGAP_DATA`` alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..errors import GroupgapError
from .sources import DATA_VARIABLE, Dataset, local_files


@dataclass(frozen=True)
class RepositoryFile:
    """A published file.

    Attributes:
        name: its name.
        folder: its folder in the repository.
        url: the repository.
        commit: of the repository.
        licence: of the repository.
        sha256: of its bytes.
    """

    name: str
    folder: str
    url: str
    commit: str
    licence: str
    sha256: str


def read_file(dataset: str, file: RepositoryFile, folders: tuple[str, ...] = ()) -> tuple[str, str]:
    """The text of a file and the SHA-256 of its bytes: in the dataset's folder, or where a clone has it there.

    Args:
        dataset: our name, and the subfolder of ``GROUPGAP_DATA``.
        file: which file.
        folders: other names of the subfolder.

    Raises:
        GroupgapError: it is not there (the message says where to get it), or it is no UTF-8.
    """
    places = Dataset(dataset, hub="", revision="", hub_files=(), licence=file.licence, url=file.url, folders=folders)
    paths = local_files(places, [(file.name,), (f"{file.folder}/{file.name}",)])
    if paths is None:
        raise GroupgapError(
            f"the data of {dataset!r} is not on this machine: fetch {file.folder}/{file.name} from {file.url} at "
            f"commit {file.commit} (licence {file.licence}; sha256 {file.sha256}) and put it into the folder "
            f"{dataset}/ of ${DATA_VARIABLE}"
        )
    data = paths[0].read_bytes()
    try:
        return data.decode("utf-8"), hashlib.sha256(data).hexdigest()
    except UnicodeDecodeError as error:
        raise GroupgapError(f"{file.name}: not UTF-8 (byte {error.start}): fetch it again") from error
