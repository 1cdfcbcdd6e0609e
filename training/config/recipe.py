"""The keys of a recipe, with their types, bounds and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.datasets.specs import ScanData

Stage = Literal["mae", "ground", "language", "oracle_maps", "align", "instruct", "probe"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhantomData(_Strict):
    """Procedural phantoms, rendered once into a store and read from there."""

    kind: Literal["phantoms"] = "phantoms"
    first_seed: int = Field(1_000_000, ge=0)
    count: int = Field(100, ge=1)
    store: Path = Path("phantoms")


class EncoderSettings(_Strict):
    """Where the encoder comes from: a preset with fresh weights, or a folder with weights.

    `preset` names the sizes, `changes` replaces some of them. `start` is the folder of an earlier
    stage or of any model, or of M3D-CLIP or RadFM as `ct-assistant models import` writes it.
    """

    preset: Literal["demo", "e3d_gpt", "vit3d_llama3", "radfm"] | None = None
    start: Path | None = None
    changes: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_source(self) -> EncoderSettings:
        if (self.preset is None) == (self.start is None):
            raise ValueError("give exactly one of preset and start")
        return self


class MaeSettings(_Strict):
    """Arguments of `MaskedAutoencoder3D`."""

    decoder_embed_dim: int = Field(512, ge=6)
    decoder_depth: int = Field(8, ge=1)
    decoder_num_heads: int = Field(16, ge=1)
    mask_ratio: float = Field(0.75, gt=0, lt=1)
    norm_pix_loss: bool = True


class GroundSettings(_Strict):
    """Patch-level supervision (stage `ground`), on crops or on whole volumes."""

    # Patches along each side of a crop; None trains on whole volumes.
    crop: int | None = Field(None, ge=3)
    # Patches at a crop's border that are left out of the loss.
    margin: int = Field(1, ge=0)
    freeze_stem: bool = False
    # Loss weights: patches without a concept against those with it; the patches around a finding;
    # the loss of whole volumes.
    negative_weight: float = Field(8.0, gt=0)
    ring_weight: float = Field(0.25, ge=0)
    volume_weight: float = Field(0.5, ge=0)
    # Also learn the store's other concepts: degrees and kinds of findings, lobes and sides.
    details: bool = False
    detail_weight: float = Field(0.5, ge=0)
    # Loss weight, for a degree, of the patches that show the same finding in another degree.
    contrast_weight: float = Field(20.0, gt=0)
    # Findings around which crops are drawn more often, with the factor.
    focus: dict[str, float] = {}
    # Number of volumes, the last ones, that are not trained on but set the operating points.
    operating_points: int = Field(0, ge=0)


class PerceiverSettings(_Strict):
    """The perceiver, from the encoder's tokens to image tokens; E3D-GPT: convolution, k = 2."""

    kind: str = "convolution"
    kernel: int = Field(2, ge=1)
    bias: bool = True
    # The folder of a model, or of RadFM's encoder as `ct-assistant models import` writes it, whose
    # perceiver this one starts from; its last layer only where the language model is as wide.
    start: Path | None = None
    pos_embed_scale: float = Field(0.0, ge=0)
    # Start the weights of each patch-level concept at the language model's embedding of its name.
    concept_words: bool = False
    # Read only a token's patch-level concepts, not the encoder's features.
    concepts_only: bool = False


class LanguageSettings(_Strict):
    """The small language model of stage `language`."""

    # Other stages: the revision of `model`, where that is on the hub.
    revision: str | None = None
    vocab_size: int = Field(1024, ge=300)
    # Number of phantoms whose texts are learned.
    texts: int = Field(4000, ge=1)
    # The folder of an earlier stage to continue from.
    start: Path | None = None


class OracleMapSettings(_Strict):
    """Errors that are put into the true concept maps of stage `oracle_maps`."""

    hidden: float = Field(0.0, ge=0, lt=1)  # share of findings that are missing from the map
    unclear: float = Field(0.0, ge=0, lt=1)  # share whose degree, kind and place are blurred


class LoraSettings(_Strict):
    """LoRA on the language model; E3D-GPT: r 16, alpha 32, dropout 0.1."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    # E3D-GPT does not state the target modules; all linear layers are our choice.
    target: Literal["all-linear", "attention"] = "all-linear"


class ConversationSettings(_Strict):
    """Which questions about a scan make one training sequence, and how they are weighted."""

    # How many questions of a scan are drawn for a sequence, or "all". If not packed, a scan of a
    # data set has so many pairs besides its report, always the same.
    questions: Annotated[int, Field(ge=0)] | Literal["all"] = 16
    report: bool = True
    # How a data set's whole report is asked for; the processor keeps it for drafts. By default
    # "Write the radiology report of this CT scan."
    report_question: str | None = None
    # Above 0, the report is asked for in two steps: the findings, then the impression of findings
    # that the question quotes. The impression turns have no image, so a model learns to write an
    # impression that agrees with the findings. For a data set they quote the scan's own findings;
    # for phantoms this is the number of other phantoms whose findings they quote.
    impressions: int = Field(0, ge=0)
    # Phantoms: share of the impression turns that quote only some findings, in few sentences.
    excerpts: float = Field(0.0, ge=0, le=1)
    # The most findings that such an excerpt has.
    most_findings: int | None = Field(None, ge=1)
    # Over this share of the run all impression turns are excerpts, which grow from one finding to
    # all. A language model learns within minutes to look up which place belongs to which of two
    # findings; from ten findings on it hardly ever does.
    growing: float = Field(0.0, ge=0, le=1)
    # Share of the impression turns that quote the findings in random order. In the usual order a
    # language model can copy the places one after another; in random order it has to look up
    # which place belongs to which finding.
    shuffled: float = Field(0.0, ge=0, le=1)
    # Share of the yes/no questions (None draws all kinds alike), and the share of these that ask
    # for a finding that is present.
    yes_no: float | None = Field(0.67, ge=0, le=1)
    positives: float = Field(0.4, ge=0, le=1)
    # Put all turns of a scan into one sequence (training/sequences/packing.py).
    packed: bool = True
    # token: every token counts the same. answer: an answer counts as the root of its length.
    weighting: Literal["token", "answer"] = "token"
    # Loss weight of the tokens that carry an answer: a degree, a kind, a place, yes, no, the
    # letter of a choice. Other tokens have 1.
    detail_weight: float = Field(1.0, gt=0)
    max_length: int = Field(768, ge=16)
    # What an answer loses that is longer than that. findings: the last sentences before its
    # impression, which stays whole. end: its end, the impression first. refuse: the run is refused.
    cut: Literal["findings", "end", "refuse"] = "findings"
    # Keep the frozen encoder's tokens on disk: 0.8 MB a volume for the demo, 8.4 MB at paper size.
    cache_tokens: bool = True
    # Stage language: scatter what a scan shows among as many blanks as it has image tokens.
    scatter: bool = False

    def at(self, progress: float) -> ConversationSettings:
        """Return the settings that hold at a share of the run (0 at its start)."""
        if progress >= self.growing:
            return self
        grown = 1 + int(progress / self.growing * len(FINDINGS) / 2)
        return self.model_copy(update={"excerpts": 1.0, "most_findings": grown})


class ProbeSettings(_Strict):
    """Heads on a frozen encoder (stage `probe`)."""

    # A model as `--model` takes it, or a folder under `root`: its encoder is read.
    encoder: str = "demo"
    # What of the encoder's places is read: their mean, their maximum, or both, for each channel.
    pooling: Literal["mean", "max", "mean_max"] = "mean_max"
    # Region of the body, for encoders that can be pointed to one; "" leaves it to the encoder.
    region: str = ""
    # A table of one's own labels: the column `image` and one for each label. None: the data's own.
    labels: Path | None = None
    # How scores become probabilities; isotonic wants some hundred patients with a finding.
    calibration: Literal["platt", "isotonic"] = "platt"
    # The labels to train, all when empty.
    findings: tuple[str, ...] = ()
    # Inverse strengths of the penalty, of which the best on unseen folds is taken.
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    folds: int = Field(5, ge=2)

    @model_validator(mode="after")
    def _some(self) -> ProbeSettings:
        if not self.strengths:
            raise ValueError("give at least one of strengths")
        return self


class TrainingSettings(_Strict):
    """Settings of the transformers Trainer."""

    # How long to train, one of: the number of sequences or volumes, or the number of passes. A
    # pass has every volume once, or every pair of a question and an answer in `data` once
    # (stages align and instruct), in random order.
    samples: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    batch_size: int = Field(1, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(..., gt=0)
    # muon is for the weights of linear layers; all else is AdamW's (training/stages/optimizers.py).
    optimizer: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "cosine"
    warmup: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = Field(1.0, ge=0)
    # auto: bf16 or fp16 on a GPU, whichever it has, and fp32 on a CPU.
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    # Keep only the input of each transformer block for the backward pass, and compute the rest
    # again there: less memory, about a third more compute. Gradients are the same.
    gradient_checkpointing: bool = False
    # Processes that read samples; None: with a GPU up to eight of its share of the cores, else 0.
    workers: int | None = Field(None, ge=0)
    # Steps that are timed before the first one, without changing any weight.
    timed_steps: int = Field(3, ge=0)
    save_minutes: float = Field(5.0, gt=0)
    keep_checkpoints: int = Field(2, ge=1)
    log_steps: int = Field(20, ge=1)
    tensorboard: bool = False

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSettings:
        if (self.samples is None) == (self.epochs is None):
            raise ValueError("give exactly one of samples and epochs")
        return self

    def length(self, items: int) -> int:
        """Return the number of samples of a run over this many volumes or pairs."""
        return self.samples if self.samples is not None else items * (self.epochs or 1)


class ValidationSettings(_Strict):
    """The loss on patients that are not trained on, measured during the run."""

    # Share of the patients of `data` that is held out for it, at least one patient. None: 5 % of a
    # table of one's own with ten patients or more, and none of other data.
    share: float | None = Field(None, ge=0, le=0.5)
    # How often in the run it is measured, and on how many pairs or volumes at most.
    times: int = Field(10, ge=1)
    samples: int = Field(200, ge=1)
    # Whether the weights with the lowest validation loss are the result, or the last ones.
    keep: Literal["best", "last"] = "best"
    # End the run after this number of measurements in a row without a lower loss.
    patience: int | None = Field(None, ge=1)


class Recipe(_Strict):
    """All settings of one stage."""

    stage: Stage
    seed: int = 0
    root: Path = Path("runs")
    output: Path
    data: PhantomData | ScanData = Field(PhantomData(), discriminator="kind")
    # Data sets for evaluation: training is refused if a patient or scan of theirs is in `data`.
    held_out: tuple[Annotated[ScanData, Field(discriminator="kind")], ...] = ()
    encoder: EncoderSettings | None = None
    # Stages oracle_maps and align: the language model. Stage instruct: the model that align wrote;
    # with `encoder`, a language model that is joined to it by a fresh perceiver.
    model: Path | None = None
    # Stages align and instruct: train the encoder too (ViT3D-LLaMA3); its tokens are not cached.
    train_encoder: bool = False
    mae: MaeSettings = MaeSettings()
    ground: GroundSettings = GroundSettings()
    probe: ProbeSettings = ProbeSettings()
    perceiver: PerceiverSettings = PerceiverSettings()
    language: LanguageSettings = LanguageSettings()
    oracle_maps: OracleMapSettings = OracleMapSettings()
    # Vicuna's; E3D-GPT states none. "chat" takes the language model's own chat template.
    prompt: str = "USER: {image}\n{question} ASSISTANT:"
    answer_prefix: str = " "
    trained_on: str = ""
    notice: str = ""
    lora: LoraSettings | None = None
    conversation: ConversationSettings = ConversationSettings()
    training: TrainingSettings
    validation: ValidationSettings = ValidationSettings()

    @model_validator(mode="before")
    @classmethod
    def _heads_have_no_trainer(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("stage") == "probe":
            return {"training": {"epochs": 1, "learning_rate": 1.0}, **values}
        return values

    @model_validator(mode="after")
    def _needs(self) -> Recipe:
        if self.stage in ("mae", "ground") and self.encoder is None:
            raise ValueError(f"stage {self.stage} needs `encoder`")
        if self.stage in ("oracle_maps", "align") and (self.encoder is None or self.model is None):
            raise ValueError(
                f"stage {self.stage} needs `encoder` and `model` (the language model's folder)"
            )
        if self.stage == "instruct" and self.model is None:
            raise ValueError("stage instruct needs `model` (the folder that stage align wrote)")
        asked = self.conversation
        if (
            self.training.epochs is not None
            and self.stage in ("align", "instruct")
            and (isinstance(self.data, PhantomData) or (asked.packed and asked.questions != "all"))
        ):
            raise ValueError(
                "training.epochs has every pair once, but this recipe draws them anew; set "
                "conversation.packed: false for a data set, or training.samples"
            )
        if self.training.epochs is not None and self.stage == "ground" and self.ground.crop:
            raise ValueError("training.epochs: crops are drawn at random; set training.samples")
        return self

    @property
    def joins(self) -> bool:
        """Whether the stage joins an encoder, a perceiver and a language model."""
        return self.stage in ("oracle_maps", "align") or (
            self.stage == "instruct" and self.encoder is not None
        )

    def path(self, part: Path) -> Path:
        """Return a path of the recipe; a relative one is under `root`."""
        return part if part.is_absolute() else self.root / part

    @property
    def folder(self) -> Path:
        """The folder that the stage writes."""
        return self.path(self.output)
