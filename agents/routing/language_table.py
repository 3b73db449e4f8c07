"""The language identifier, with its tables in a file: what no text has looked up takes no memory."""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def load_identifier(codes: Iterable[str]) -> Any:
    """Return an identifier for some languages; takes about half a second.

    The tables hold every language's features, some 75 MB, and the messages of one desk touch a few of them. Mapped from
    a file without a name, only those stay in memory, and the rest goes when the identifier does.
    """
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    whole = LanguageIdentifier.from_model_file(MODEL_FILE)
    whole.set_languages(list(codes))
    moves = np.frombuffer(whole.tk_nextmove, whole.tk_nextmove.typecode)
    # a view is looked up in as fast as what it stands for; single numbers of an array are three times as slow
    return LanguageIdentifier(
        _mapped(whole.nb_ptc),
        whole.nb_pc,
        whole.nb_classes,
        _mapped(moves).data,
        whole.tk_output,
        norm_probs=True,
        tk_row=whole.tk_row,
    )


def _mapped(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array that lies in a file; the array itself where no file can be made."""
    import numpy as np

    try:
        with TemporaryFile() as file:
            array.tofile(file)
            file.flush()
            return np.asarray(np.memmap(file, array.dtype, "r", shape=array.shape))
    except OSError:
        return array
