"""Class names of Hugging Face configurations → GGUF architecture, where `model_type` says nothing.

Wrappers that hold any language model (Llava, Idefics 3, InternVL) are not listed: their inner
configuration says which.
Source: llama.cpp conversion/__init__.py, TEXT_MODEL_MAP, and the classes it names; classes of the
catalog's own configurations.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["CLASS_NAMES", "CONVERTED"]

_CLASSES: Final = (
    ("afmoe", "AfmoeForCausalLM"),
    ("apertus", "ApertusForCausalLM"),
    ("arcee", "ArceeForCausalLM"),
    ("arwkv7", "RwkvHybridForCausalLM"),
    ("baichuan", "BaichuanForCausalLM BaiChuanForCausalLM"),
    ("bailingmoe", "BailingMoeForCausalLM"),
    ("bailingmoe2", "BailingMoeV2ForCausalLM"),
    ("bailingmoe3", "BailingHybridForCausalLM"),
    ("bert", "BertModel BertForMaskedLM CamembertModel RobertaModel XLMRobertaModel"),
    ("bert", "XLMRobertaForSequenceClassification"),
    ("bitnet", "BitNetForCausalLM BitnetForCausalLM"),
    ("bloom", "BloomForCausalLM BloomModel"),
    ("chatglm", "ChatGLMModel ChatGLMForConditionalGeneration GlmForCausalLM"),
    ("codeshell", "CodeShellForCausalLM"),
    ("cohere2", "Cohere2ForCausalLM"),
    ("command-r", "CohereForCausalLM"),
    ("dbrx", "DbrxForCausalLM"),
    ("deci", "DeciLMForCausalLM"),
    ("deepseek", "DeepseekForCausalLM"),
    ("deepseek2", "DeepseekV2ForCausalLM DeepseekV3ForCausalLM Glm4MoeLiteForCausalLM"),
    ("deepseek2", "KimiK25ForConditionalGeneration KimiVLForConditionalGeneration"),
    ("deepseek32", "DeepseekV32ForCausalLM"),
    ("deepseek4", "DeepseekV4ForCausalLM"),
    ("dots1", "Dots1ForCausalLM"),
    ("dream", "DreamModel"),
    ("ernie4_5", "Ernie4_5ForCausalLM Ernie4_5_ForCausalLM"),
    ("ernie4_5-moe", "Ernie4_5_MoeForCausalLM"),
    ("eurobert", "EuroBertModel"),
    ("exaone", "ExaoneForCausalLM"),
    ("exaone-moe", "ExaoneMoEForCausalLM"),
    ("exaone4", "Exaone4ForCausalLM Exaone4_5_ForConditionalGeneration"),
    ("falcon", "FalconForCausalLM RWForCausalLM"),
    ("falcon-h1", "FalconH1ForCausalLM"),
    ("gemma", "GemmaForCausalLM"),
    ("gemma-embedding", "Gemma3TextModel"),
    ("gemma2", "Gemma2ForCausalLM"),
    ("gemma3", "Gemma3ForCausalLM Gemma3ForConditionalGeneration"),
    ("gemma3n", "Gemma3nForCausalLM Gemma3nForConditionalGeneration"),
    ("gemma4", "Gemma4ForCausalLM Gemma4ForConditionalGeneration"),
    ("glm-dsa", "GlmMoeDsaForCausalLM"),
    ("glm4", "Glm4ForCausalLM Glm4vForConditionalGeneration"),
    ("glm4moe", "Glm4MoeForCausalLM Glm4vMoeForConditionalGeneration SolarOpenForCausalLM"),
    ("glm5-next", "Glm5NextForConditionalGeneration"),
    ("gpt-oss", "GptOssForCausalLM"),
    ("gpt2", "GPT2LMHeadModel"),
    ("gptneox", "GPTNeoXForCausalLM"),
    ("granite", "GraniteForCausalLM"),
    ("granitehybrid", "GraniteMoeHybridForCausalLM"),
    ("granitemoe", "GraniteMoeForCausalLM GraniteMoeSharedForCausalLM"),
    ("grovemoe", "GroveMoeForCausalLM"),
    ("hunyuan-dense", "HunYuanDenseV1ForCausalLM"),
    ("hunyuan-moe", "HunYuanMoEV1ForCausalLM"),
    ("hy_v3", "HYV3ForCausalLM"),
    ("internlm2", "InternLM2ForCausalLM"),
    ("jais", "JAISLMHeadModel"),
    ("jamba", "JambaForCausalLM"),
    ("kimi-linear", "KimiLinearForCausalLM KimiLinearModel"),
    ("laguna", "LagunaForCausalLM"),
    ("lfm2", "Lfm2ForCausalLM LFM2ForCausalLM Lfm2Model"),
    ("lfm2moe", "Lfm2MoeForCausalLM"),
    ("llada", "LLaDAModelLM"),
    ("llada-moe", "LLaDAMoEModel LLaDAMoEModelLM"),
    ("llama", "LlamaForCausalLM LLaMAForCausalLM LlamaModel InternLM3ForCausalLM"),
    ("llama", "MistralForCausalLM MixtralForCausalLM IQuestCoderForCausalLM"),
    ("llama4", "Llama4ForCausalLM Llama4ForConditionalGeneration"),
    ("mamba", "MambaForCausalLM MambaLMHeadModel FalconMambaForCausalLM"),
    ("mamba2", "Mamba2ForCausalLM"),
    ("mellum", "MellumForCausalLM"),
    ("mimo2", "MiMoV2FlashForCausalLM MiMoV2ForCausalLM"),
    ("minicpm", "MiniCPMForCausalLM"),
    ("minicpm3", "MiniCPM3ForCausalLM"),
    ("minimax-01", "MiniMaxForCausalLM MiniMaxText01ForCausalLM MiniMaxM1ForCausalLM"),
    ("minimax-m2", "MiniMaxM2ForCausalLM"),
    ("minimax-m3", "MiniMaxM3SparseForConditionalGeneration"),
    ("mistral3", "Mistral3ForConditionalGeneration Ministral3ForCausalLM"),
    ("mistral4", "Mistral4ForCausalLM"),
    ("mpt", "MPTForCausalLM"),
    ("muse-glimmer", "MuseGlimmerForConditionalGeneration"),
    ("nemotron", "NemotronForCausalLM"),
    ("nemotron_h", "NemotronHForCausalLM"),
    ("nomic-bert", "NomicBertModel"),
    ("olmo", "OlmoForCausalLM OLMoForCausalLM"),
    ("olmo2", "Olmo2ForCausalLM Olmo3ForCausalLM"),
    ("olmoe", "OlmoeForCausalLM"),
    ("orion", "OrionForCausalLM"),
    ("pangu-embedded", "PanguEmbeddedForCausalLM"),
    ("phi2", "PhiForCausalLM"),
    ("phi3", "Phi3ForCausalLM"),
    ("phimoe", "PhiMoEForCausalLM PhimoeForCausalLM"),
    ("plamo", "PlamoForCausalLM"),
    ("qwen", "QWenLMHeadModel"),
    ("qwen2", "Qwen2ForCausalLM Qwen2Model MiMoForCausalLM"),
    ("qwen2moe", "Qwen2MoeForCausalLM"),
    ("qwen2vl", "Qwen2VLForConditionalGeneration Qwen2_5_VLForConditionalGeneration"),
    ("qwen2vl", "Qwen2_5OmniModel"),
    ("qwen3", "Qwen3ForCausalLM Qwen3Model"),
    ("qwen35", "Qwen3_5ForCausalLM Qwen3_5ForConditionalGeneration"),
    ("qwen35moe", "Qwen3_5MoeForCausalLM Qwen3_5MoeForConditionalGeneration"),
    ("qwen3moe", "Qwen3MoeForCausalLM"),
    ("qwen3next", "Qwen3NextForCausalLM"),
    ("qwen3vl", "Qwen3VLForConditionalGeneration"),
    ("qwen3vlmoe", "Qwen3VLMoeForConditionalGeneration"),
    ("refact", "GPTRefactForCausalLM"),
    ("rnd1", "RND1"),
    ("rwkv6", "Rwkv6ForCausalLM"),
    ("rwkv6qwen2", "RWKV6Qwen2ForCausalLM"),
    ("rwkv7", "Rwkv7ForCausalLM RWKV7ForCausalLM"),
    ("seed_oss", "SeedOssForCausalLM"),
    ("smallthinker", "SmallThinkerForCausalLM"),
    ("smollm3", "SmolLM3ForCausalLM"),
    ("stablelm", "StableLmForCausalLM StableLMEpochForCausalLM"),
    ("starcoder", "GPTBigCodeForCausalLM"),
    ("starcoder2", "Starcoder2ForCausalLM"),
    ("step35", "Step3p5ForCausalLM Step3p7ForConditionalGeneration Step3p7FlashForCausalLM"),
    ("xverse", "XverseForCausalLM"),
)
CLASS_NAMES: Final[Mapping[str, str]] = {
    name: architecture for architecture, names in _CLASSES for name in names.split()
}
# The converter has a class for these too; their tensors are not listed here. Source: the same map,
# in llama-cpp-python 0.3.36.
_WITHOUT_TABLE: Final = (
    "ArcticForCausalLM AudioFlamingo3ForConditionalGeneration BailingMoeV3ForCausalLM "
    "BailingMoeV3VLForConditionalGeneration BambaForCausalLM BertForSequenceClassification "
    "ChameleonForCausalLM ChameleonForConditionalGeneration CogVLMForCausalLM "
    "Cohere2MoeForCausalLM DFlash2DraftModel DFlashDraftModel DSparkDraftModel DSparkSpeculator "
    "DeepseekOCRForCausalLM DeepseekV4DSparkModel DistilBertForMaskedLM "
    "DistilBertForSequenceClassification DistilBertModel Dots3NoteForCausalLM "
    "Dots3NoteForConditionalGeneration Dots3NoteTextForCausalLM DotsOCRForCausalLM "
    "Eagle3DraftModel Eagle3LlamaForCausalLM Eagle3Speculator ExaoneMoeForCausalLM "
    "Gemma4AssistantForCausalLM Gemma4DSparkModel Gemma4UnifiedAssistantForCausalLM "
    "Gemma4UnifiedForConditionalGeneration GlmOcrForConditionalGeneration "
    "GraniteMoeSWAForCausalLM GraniteSWAForCausalLM GraniteSpeechForConditionalGeneration "
    "GraniteSpeechPlusForConditionalGeneration GraniteSwitchForCausalLM Grok1ForCausalLM "
    "GrokForCausalLM HYV4ForCausalLM HrmTextForCausalLM HunYuanVLForConditionalGeneration "
    "Jais2ForCausalLM JanusForConditionalGeneration JinaBertForMaskedLM JinaBertModel "
    "JinaEmbeddingsV5Model KORMoForCausalLM KimiK3ForConditionalGeneration Lfm25AudioTokenizer "
    "Lfm2BidirectionalModel Lfm2DSparkDraftModel LingDSparkModel LlamaBidirectionalModel "
    "LlamaForCausalLMEagle3 LlavaForConditionalGeneration LlavaStableLMEpochForCausalLM "
    "MT5ForConditionalGeneration MaincoderForCausalLM MapleForCausalLM "
    "MiniCPMV4_6ForConditionalGeneration MiniMaxM3SparseForCausalLM ModernBertForMaskedLM "
    "ModernBertForSequenceClassification ModernBertModel MuseGlimmerAssistantModel "
    "NanbeigeForCausalLM NemotronHPuzzleForCausalLM NeoBERT NeoBERTForSequenceClassification "
    "NeoBERTLMHead OpenELMForCausalLM PLMForCausalLM PLaMo2ForCausalLM PLaMo3ForCausalLM "
    "PaddleOCRVLForConditionalGeneration Phi4ForCausalLMV Plamo2ForCausalLM Plamo3ForCausalLM "
    "PocketTTSModel Qwen2AudioForConditionalGeneration Qwen2VLModel "
    "Qwen3ASRForConditionalGeneration Qwen3DSparkModel Qwen3OmniMoeForConditionalGeneration "
    "Qwen3TTSForConditionalGeneration Qwen4ExpForCausalLM Qwen4ExpForConditionalGeneration "
    "RobertaForSequenceClassification RuGPT3XLForCausalLM Sarashina2VisionForCausalLM "
    "SarvamMoEForCausalLM Spark2_5ForCausalLM StepVLForConditionalGeneration T5EncoderModel "
    "T5ForConditionalGeneration T5WithLMHeadModel TalkieForCausalLM "
    "UMT5ForConditionalGeneration UMT5Model UltravoxModel UnlimitedOCRForCausalLM "
    "VLlama3ForCausalLM VoxtralForConditionalGeneration WavTokenizerDec YoutuForCausalLM "
    "YoutuVLForConditionalGeneration"
)
CONVERTED: Final = frozenset((*CLASS_NAMES, *_WITHOUT_TABLE.split()))
"""Every class of configurations that llama.cpp's converter makes a GGUF of."""
