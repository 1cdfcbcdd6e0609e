"""Configuration of the whole model: encoder + perceiver + causal language model."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from napari_ct_assistant.model.format import FORMAT_VERSION, upgraded
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.vision_configuration import VisionConfig3D


@strict
class VolumeLanguageConfig(PreTrainedConfig):
    """One architecture, many checkpoints. The defaults are E3D-GPT's.

    Attributes
    ----------
    vision_config : VisionConfig3D or GroundedVisionConfig3D
        As a dict, `model_type` decides which.
    text_config : configuration of any Hugging Face causal language model
    perceiver : str
        A name in `perceivers.PERCEIVERS`; E3D-GPT's choice is "convolution".
    perceiver_kernel : int
        Patches merged along each axis; E3D-GPT's k = 2 makes 343 of 2744 tokens.
    perceiver_latents, perceiver_layers, perceiver_head_dim : int
        Of the perceiver "resampler": RadFM's sizes. It ignores the kernel.
    perceiver_bias : bool
        Not stated in the paper; the convolution's default.
    perceiver_pos_embed_scale : float
        Only the demonstration model's: factor on fixed 3D position embeddings that are added to
        the image tokens. 0 in the papers.
    perceiver_concepts_only : bool
        Only the demonstration model's: the perceiver reads a token's concepts and not the
        features they were read from. A language model that sees few scans memorises them by
        their features: the AUROC of lung nodules on unseen phantoms was 0.80, and 0.88 when the
        features were blanked in the same trained model.
    image_token_id : int
        The id that stands in `input_ids` for each image token.
    image_splice : "ids" or "positional"
        "ids" puts the image tokens where their id stands. "positional" puts them from the second
        position on, as M3D's code does. Where the tokenizer adds no BOS, the first id stays and
        the question's first token is lost; models trained that way have never seen anything else.
    trained_on, notice : str
        What the weights have seen, and the sentence that goes with everything they say.
    unreliable_findings : list of str
        Findings that the model was measured not to recognise.
    finding_thresholds : dict of str to float
        Probability in the screen from which a finding counts as present; 0.5 where not given.
    skills : list of str
        What it was taught besides reports and questions: "explain" or "shorten" (a passage),
        "impression" (of findings that the question quotes).
    format_version : int
        Of the model folder (docs/model-folder.md).
    """

    model_type = "ct_volume_language"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "vision_config": SubConfigSpec(
            config_class=AutoConfig, model_type=VisionConfig3D.model_type
        ),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }

    # Any: transformers turns a dict or None into a configuration.
    vision_config: Any = None
    text_config: Any = None
    perceiver: str = "convolution"
    perceiver_kernel: int = 2
    perceiver_latents: int = 32
    perceiver_layers: int = 6
    perceiver_head_dim: int = 64
    perceiver_bias: bool = True
    perceiver_pos_embed_scale: float = 0.0
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
        # The language model decides whether its embeddings are tied; transformers asks the
        # outermost configuration.
        if getattr(self.text_config, "tie_word_embeddings", False):
            self.tie_word_embeddings = True
        if self.perceiver_concepts_only and not self.num_concepts:
            raise ValueError("perceiver_concepts_only: the encoder has no concepts")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build from the content of a `config.json`, of today's or an older format."""
        return super().from_dict(upgraded(config_dict), **kwargs)

    @property
    def hidden_size(self) -> int:
        """Channels of the language model's embeddings."""
        return int(self.text_config.hidden_size)

    @property
    def num_concepts(self) -> int:
        """Concepts that the encoder appends to each token; 0 for the papers' encoders."""
        vision = self.vision_config
        return vision.num_concepts if isinstance(vision, GroundedVisionConfig3D) else 0

    @property
    def first_channel(self) -> int:
        """The first of a token's channels that the perceiver reads."""
        return int(self.vision_config.hidden_size) if self.perceiver_concepts_only else 0


AutoConfig.register(VolumeLanguageConfig.model_type, VolumeLanguageConfig)
