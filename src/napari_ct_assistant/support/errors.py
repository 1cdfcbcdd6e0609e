"""The base of every error that this package raises on purpose.

The tree, with what each error stands for (standard bases in brackets)::

    CTAssistantError
    ├── CTReadError [ValueError]            a path that is not a readable CT volume
    │   └── OpeningStoppedError             a scan whose opening was stopped
    ├── BrokenDicomError                    bytes that are not a whole DICOM data set
    ├── CodestreamError                     compressed pixels that cannot be decoded
    ├── NotASliceError                      a healthy DICOM file that is not part of a CT volume
    ├── ModelLoadError [ValueError]         a model that cannot be loaded
    │   └── NotEnoughMemoryError            a model that does not fit into memory
    ├── ServerError [ValueError]            a server that cannot be used
    │   ├── ServerRefusedError              an address or model that is not talked to
    │   └── AgreementNeededError            something that nobody agreed to send yet
    ├── DownloadCancelled                   a download that the user stopped
    ├── StoppedError                        a job stopped before the model wrote anything
    ├── EncodingStopped                     a scan whose encoding was stopped
    ├── ExportError [ValueError]            a report that cannot be written to a file
    ├── TemplateError [ValueError]          a report template that cannot be used
    ├── PresetError [ValueError]            a preset of slices that cannot be used
    ├── TooManySlicesError [ValueError]     more slices than a model's context holds
    ├── UnknownAttentionError               attention other than softmax(q k^T) v
    ├── WritesNoTextError                   a question to a model that only screens
    ├── OutlineError [ValueError]           a label that cannot be measured
    ├── ChoicesError [ValueError]           a table of choices that cannot be used
    ├── JournalError [OSError]              a journal that cannot be read or written
    ├── BrokenLogError [ValueError]         a broken line within a log of JSON lines
    ├── YamlFileError [ValueError]          a file that cannot be read as YAML
    ├── RecipeError [ValueError]            a training recipe that cannot be run
    │   ├── EmptySplitError                 a split without any scan
    │   ├── ShardError                      a shard that cannot be read
    │   ├── EndpointError                   a chat endpoint that cannot be used
    │   └── LeakError                       held-out data that was trained on
    ├── WrongValueError [ValueError]        a recipe value that the network cannot have
    ├── NoLinearLayerError [ValueError]     Muon where no linear layer is trained
    ├── MalformedAnswerError [ValueError]   an endpoint's answer in the wrong form
    ├── NonFiniteLossError [RuntimeError]   a loss that became NaN or infinite
    └── LostProcessError [RuntimeError]     a process of a training run that has ended

Each message is one line that names what is at fault and says what to do, so the
command line prints it as it stands. The errors live beside the code that raises
them; only the base is here, where every floor can import it.
"""

from __future__ import annotations


class CTAssistantError(Exception):
    """Base of every error that this package raises on purpose."""

    @property
    def text(self) -> str:
        """What was given; a `translation.Message`, which the panel translates, where it is one.

        torch makes errors that have a `message` anew, in a way that these do not take.
        """
        first = self.args[0] if len(self.args) == 1 else None
        return first if isinstance(first, str) else str(self)
