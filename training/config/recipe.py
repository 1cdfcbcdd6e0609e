"""What a recipe may contain: the keys of the YAML files, with their types and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.data.datasets.specs import ScanData

Stage = Literal["mae", "ground", "language", "oracle_maps", "align", "instruct"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhantomData(_Strict):
    """Procedural phantoms, rendered once into a store and read from there."""

    kind: Literal["phantoms"] = "phantoms"
    first_seed: int = Field(1_000_000, ge=0)
    count: int = Field(100, ge=1)
    store: Path = Path("phantoms")


class EncoderSettings(_Strict):
    """Where the encoder comes from: a preset's sizes drawn afresh, or an earlier stage.

    `start` is also what `ct-assistant models import` makes of M3D-CLIP.
    """

    preset: Literal["demo", "e3d_gpt", "vit3d_llama3"] | None = None
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
    """Patch-level supervision: on crops of `crop`^3 patches, or on whole volumes."""

    crop: int | None = Field(None, ge=3)
    margin: int = Field(1, ge=0)
    freeze_stem: bool = False
    negative_weight: float = Field(8.0, gt=0)
    ring_weight: float = Field(0.25, ge=0)
    volume_weight: float = Field(0.5, ge=0)
    # The store's other concepts too: degrees and kinds of findings, places.
    details: bool = False
    detail_weight: float = Field(0.5, ge=0)
    # A degree's patches against those of the same finding in another degree.
    contrast_weight: float = Field(20.0, gt=0)
    # Which findings crops are drawn around more often: name and how many times as often.
    focus: dict[str, float] = {}
    # The last so many volumes are not trained on; each concept's operating point is set on them.
    operating_points: int = Field(0, ge=0)


class PerceiverSettings(_Strict):
    """From the encoder's tokens to image tokens; E3D-GPT: convolution with k = 2."""

    kind: str = "convolution"
    kernel: int = Field(2, ge=1)
    bias: bool = True
    pos_embed_scale: float = Field(0.0, ge=0)
    # Start each patch-level finding at the words for it, in the language model's own embedding.
    concept_words: bool = False
    # Read nothing else of a token than the patch-level findings, their details and places.
    concepts_only: bool = False


class LanguageSettings(_Strict):
    """The language model: a Hugging Face folder or id, or the small one of the demo."""

    model: str = "demo"
    revision: str | None = None
    vocab_size: int = Field(1024, ge=300)
    texts: int = Field(4000, ge=1)
    start: Path | None = None


class OracleMapSettings(_Strict):
    """What a true map leaves out, as an encoder would (stage `oracle_maps`), finding by finding."""

    hidden: float = Field(0.0, ge=0, lt=1)  # the finding itself
    unclear: float = Field(0.0, ge=0, lt=1)  # its degree, kind and place


class LoraSettings(_Strict):
    """LoRA on the language model; E3D-GPT: r 16, alpha 32, dropout 0.1."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    # E3D-GPT does not state the target modules; all linear layers of the LLM is our choice.
    target: Literal["all-linear", "attention"] = "all-linear"


class ConversationSettings(_Strict):
    """What of a scan's questions goes into one training sequence."""

    questions: int = Field(16, ge=0)
    report: bool = True
    # More than 0: the report in two turns, the findings, then the impression of given findings.
    # Of a data set's scan those are its own, of phantoms those of so many others; no image is
    # seen, so that it is drawn from what is written and cannot contradict it.
    impressions: int = Field(0, ge=0)
    # Of phantoms: share of them that sum up some of the findings only, in few sentences.
    excerpts: float = Field(0.0, ge=0, le=1)
    # How many findings an excerpt has at most.
    most_findings: int | None = Field(None, ge=1)
    # Over this share of the run all are excerpts, which grow from one finding to all. To look up
    # whose a place is, a language model learns within minutes among two findings; among ten,
    # hardly ever.
    growing: float = Field(0.0, ge=0, le=1)
    # Share of them whose findings stand in any order. In their own order a language model takes
    # the next place that was written; in another it has to look up whose place that is.
    shuffled: float = Field(0.0, ge=0, le=1)
    yes_no: float = Field(0.67, ge=0, le=1)  # share of yes/no questions
    positives: float = Field(0.4, ge=0, le=1)
    packed: bool = True
    weighting: Literal["token", "answer"] = "token"
    # Words on which an answer turns (a degree, a kind, a place, yes, no, a choice's letter)
    # count so many times as much as the others.
    detail_weight: float = Field(1.0, gt=0)
    max_length: int = Field(768, ge=16)
    # The frozen encoder's tokens on disk: 0.8 MB a volume for the demo, 8.4 MB at paper size.
    cache_tokens: bool = True
    # Text alone: scatter what a scan shows among as many blanks as it has image tokens.
    scatter: bool = False

    def at(self, progress: float) -> ConversationSettings:
        """Return what holds at a share of the run, 0 at its start."""
        if progress >= self.growing:
            return self
        grown = 1 + int(progress / self.growing * len(FINDINGS) / 2)
        return self.model_copy(update={"excerpts": 1.0, "most_findings": grown})


class TrainingSettings(_Strict):
    """What goes to the transformers Trainer."""

    samples: int = Field(..., ge=1)
    batch_size: int = Field(1, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(..., gt=0)
    # muon: for the matrices of linear layers (training/stages/optimizers.py), AdamW for the rest.
    optimizer: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "cosine"
    warmup: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = Field(1.0, ge=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    workers: int = Field(0, ge=0)
    save_minutes: float = Field(5.0, gt=0)
    keep_checkpoints: int = Field(2, ge=1)
    log_steps: int = Field(20, ge=1)
    tensorboard: bool = False


class Recipe(_Strict):
    """One stage."""

    stage: Stage
    seed: int = 0
    root: Path = Path("runs")
    output: Path
    data: PhantomData | ScanData = Field(PhantomData(), discriminator="kind")
    # What this training must not have seen: no patient and no scan of these may be in `data`.
    held_out: tuple[Annotated[ScanData, Field(discriminator="kind")], ...] = ()
    encoder: EncoderSettings | None = None
    # Stage align: the language model. Stage instruct: what align wrote; or, with `encoder`, a
    # language model, to which a fresh perceiver is joined.
    model: Path | None = None
    # Stages align and instruct: the encoder learns too (ViT3D-LLaMA3); its tokens are not cached.
    train_encoder: bool = False
    mae: MaeSettings = MaeSettings()
    ground: GroundSettings = GroundSettings()
    perceiver: PerceiverSettings = PerceiverSettings()
    language: LanguageSettings = LanguageSettings()
    oracle_maps: OracleMapSettings = OracleMapSettings()
    # Vicuna's; E3D-GPT states none. "chat" is the chat template of the language model.
    prompt: str = "USER: {image}\n{question} ASSISTANT:"
    answer_prefix: str = " "
    trained_on: str = ""
    notice: str = ""
    lora: LoraSettings | None = None
    conversation: ConversationSettings = ConversationSettings()
    training: TrainingSettings

    @model_validator(mode="after")
    def _needs(self) -> Recipe:
        if self.stage in ("mae", "ground") and self.encoder is None:
            raise ValueError(f"stage {self.stage} needs `encoder`")
        if self.stage in ("oracle_maps", "align") and (self.encoder is None or self.model is None):
            raise ValueError(
                f"stage {self.stage} needs `encoder` and `model` (the language model's folder)"
            )
        if self.stage == "instruct" and self.model is None:
            raise ValueError("stage instruct needs `model` (what stage align wrote)")
        return self

    @property
    def joins(self) -> bool:
        """Whether the stage joins an encoder, a perceiver and a language model."""
        return self.stage in ("oracle_maps", "align") or (
            self.stage == "instruct" and self.encoder is not None
        )

    def path(self, part: Path) -> Path:
        """Return a path of the recipe under its `root`."""
        return part if part.is_absolute() else self.root / part

    @property
    def folder(self) -> Path:
        """Where the stage writes."""
        return self.path(self.output)
