"""Configuration of the network: one architecture, many checkpoints.

Sizes of volumes, patches and grids are (D, H, W): slices from head to feet,
rows from front to back, columns from the patient's right to left, the axes
(I, P, L) of a `CTVolume`. E3D-GPT writes the same sizes as 224x224x112.

What the papers leave open is a field here with a stated default.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from napari_ct_assistant.model.format import FORMAT_VERSION, upgraded

Size3D = list[int] | tuple[int, ...]


def grid_of(image_size: Size3D, patch_size: Size3D) -> tuple[int, int, int]:
    """Return the token grid (d, h, w) of a volume cut into patches.

    Raises
    ------
    ValueError
        If a patch does not divide the volume, with the offending numbers.
    """
    if len(image_size) != 3 or len(patch_size) != 3:
        raise ValueError(
            f"image_size {tuple(image_size)} and patch_size {tuple(patch_size)} need three "
            "numbers each: (D, H, W)"
        )
    for axis, size, patch in zip("DHW", image_size, patch_size, strict=True):
        if patch < 1 or size % patch:
            raise ValueError(f"patch_size {patch} must divide image_size {size} on axis {axis}")
    d, h, w = (size // patch for size, patch in zip(image_size, patch_size, strict=True))
    return d, h, w


@strict
class VisionConfig3D(PreTrainedConfig):
    """The 3D vision transformer. Defaults are E3D-GPT's encoder at paper size.

    Attributes
    ----------
    image_size, patch_size : three ints, (D, H, W)
        E3D-GPT: 224x224x112 voxels in patches of 16x16x8, 2744 tokens.
    hidden_size : int
        E3D-GPT: 1536, twice ViT-Base.
    num_hidden_layers : int
        12 is ViT-Base's depth, which the paper implies.
    num_attention_heads : int
        Not stated in the paper; 12 is ViT-Base's, 128 dims a head at width 1536.
    mlp_ratio, qkv_bias, layer_norm_eps
        Not stated; ViT-Base's. M3D-CLIP has no qkv bias.
    class_token : bool
        Prepended without a position, as M3D-CLIP has it, and dropped from the output.
    position : "sincos", "learned" or "none"
        Not stated; fixed 3D sine-cosine as in the MAE code.
    final_norm : bool
        Whether the tokens leave through a LayerNorm.
    stem : "linear" or "convolution"
        "linear" cuts patches as the papers do. "convolution" is a small pyramid whose levels
        are max-pooled into the same token grid, which keeps findings smaller than a patch.
    stem_windows : list of [low, high]
        Value windows that become the stem's input channels, in units of `pixel_values`.
    stem_channels, stem_depths : list of int
        Channels and number of 3x3x3 convolutions of each pyramid level.
    num_concepts : int
        Patch-level concepts (stage `ground`) whose probabilities are appended to each token.
    concept_names : list of str
        What they are: findings first, then what stage `ground` taught beside them (a finding's
        degree, a lobe). Empty where a checkpoint does not tell.
    concept_owners : list of int
        For each concept the finding that it is a detail of (a degree), itself for all others.
        Details are then judged over the whole volume. Empty: each patch for itself.
    concept_pairs : list of [int, int]
        A finding and a place (lobe, side): where the finding lies there is appended, too. A
        language model need not find out by itself which of a scan's lobes is meant.
    concept_scale : float
        Factor on those probabilities beside the unit-variance features.
    """

    model_type = "ct_vision_3d"

    image_size: Size3D = (112, 224, 224)
    patch_size: Size3D = (8, 16, 16)
    in_channels: int = 1
    hidden_size: int = 1536
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    class_token: bool = False
    position: Literal["sincos", "learned", "none"] = "sincos"
    final_norm: bool = True
    layer_norm_eps: float = 1e-6
    dropout: float = 0.0
    stem: Literal["linear", "convolution"] = "linear"
    stem_windows: list[Any] | tuple[Any, ...] = ((0.0, 1.0),)
    stem_channels: Size3D = (8, 16, 48, 96)
    stem_depths: Size3D = (1, 2, 2, 1)
    num_concepts: int = 0
    concept_names: list[str] | tuple[str, ...] = ()
    concept_owners: list[int] | tuple[int, ...] = ()
    concept_pairs: list[Any] | tuple[Any, ...] = ()
    concept_scale: float = 8.0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must divide "
                f"hidden_size ({self.hidden_size})"
            )
        if self.position == "sincos" and self.hidden_size % 2:
            raise ValueError(f"sincos positions need an even hidden_size, got {self.hidden_size}")
        if self.concept_names and len(self.concept_names) != self.num_concepts:
            raise ValueError(
                f"concept_names has {len(self.concept_names)} names for "
                f"num_concepts {self.num_concepts}"
            )
        if self.concept_owners and (
            len(self.concept_owners) != self.num_concepts
            or not all(0 <= one < self.num_concepts for one in self.concept_owners)
        ):
            raise ValueError(
                f"concept_owners: {list(self.concept_owners)} are no owners of the "
                f"{self.num_concepts} concepts"
            )
        for pair in self.concept_pairs:
            if len(pair) != 2 or not all(0 <= one < self.num_concepts for one in pair):
                raise ValueError(
                    f"concept_pairs: {list(pair)} is no pair of the {self.num_concepts} concepts"
                )
        grid_of(self.image_size, self.patch_size)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Token grid (d, h, w)."""
        return grid_of(self.image_size, self.patch_size)

    @property
    def output_size(self) -> int:
        """Channels of an output token: features, then probabilities of concepts and pairs."""
        return self.hidden_size + self.num_concepts + len(self.concept_pairs)


@strict
class VolumeLanguageConfig(PreTrainedConfig):
    """Encoder + perceiver + causal language model.

    Attributes
    ----------
    vision_config : VisionConfig3D
    text_config : config of any Hugging Face causal LM
    perceiver : str
        A name in `perceivers.PERCEIVERS`; E3D-GPT's choice is "convolution".
    perceiver_kernel : int
        Patches merged along each axis; E3D-GPT's k = 2 makes 343 of 2744 tokens.
    perceiver_bias : bool
        Not stated in the paper; the convolution's default.
    perceiver_position : float
        Factor on fixed 3D positions that are added to the image tokens; 0 in the papers.
    perceiver_concepts_only : bool
        Whether the perceiver reads of a token its concepts alone, not the features they were
        read from. A language model that sees few scans knows them again by their features: the
        demonstration model so told lung nodules of unseen phantoms apart with an AUROC of 0.80,
        and with 0.88 when the features were struck out that it had been trained with.
    image_token_id : int
        The id that stands in `input_ids` for each image token.
    image_splice : "ids" or "positional"
        "ids" puts the image tokens where their id stands. "positional" puts them from the second
        position on, as M3D's code does: where the tokenizer adds no BOS, the first id stays and
        the question's first token is lost, and models trained so have never seen it otherwise.
    trained_on, notice : str
        What the weights have seen, and the sentence that goes with everything they say.
    unreliable_findings : list of str
        Findings that the model was measured not to recognise: it does not judge them.
    finding_thresholds : dict of str to float
        Probability in the screen from which a finding counts as present; 0.5 where not given.
    skills : list of str
        What it was taught besides reports and questions: "explain", "shorten" (a passage),
        "impression" (of findings that the question quotes).
    format_version : int
        Of the model folder (docs/model-folder.md); a newer one than ours is refused.
    """

    model_type = "ct_volume_language"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "vision_config": SubConfigSpec(config_class=VisionConfig3D),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }

    # Any: transformers turns a dict or None into the configuration on the way in.
    vision_config: Any = None
    text_config: Any = None
    perceiver: str = "convolution"
    perceiver_kernel: int = 2
    perceiver_bias: bool = True
    perceiver_position: float = 0.0
    perceiver_concepts_only: bool = False
    image_token_id: int = 32000
    image_splice: Literal["ids", "positional"] = "ids"
    tie_word_embeddings: bool = False
    trained_on: str = ""
    notice: str = ""
    unreliable_findings: list[str] | tuple[str, ...] = ()
    finding_thresholds: dict[str, float] = field(default_factory=dict)
    skills: list[str] | tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        # Whether the embeddings are tied is the language model's affair; the wrapper repeats it
        # because transformers asks the outermost configuration.
        if getattr(self.text_config, "tie_word_embeddings", False):
            self.tie_word_embeddings = True
        if self.perceiver_concepts_only and not self.vision_config.num_concepts:
            raise ValueError("perceiver_concepts_only: the encoder has no concepts")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build from a `config.json`, also from one of an older format."""
        return super().from_dict(upgraded(config_dict), **kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of the language model's embeddings."""
        return int(self.text_config.hidden_size)

    @property
    def first_channel(self) -> int:
        """The first of a token's channels that the perceiver reads."""
        return int(self.vision_config.hidden_size) if self.perceiver_concepts_only else 0


AutoConfig.register(VisionConfig3D.model_type, VisionConfig3D)
AutoConfig.register(VolumeLanguageConfig.model_type, VolumeLanguageConfig)
