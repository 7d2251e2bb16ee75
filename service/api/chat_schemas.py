"""The wire of the OpenAI routes. Fields that are not named here are for `service.api.neutral`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from service.api.schemas import ProfileName, Response, StopString, StopStrings, Usage


class TextPart(BaseModel):
    """Text of a message."""

    type: Literal["text"]
    text: str


class Address(BaseModel):
    """Where a file is: a `data:` URL, which is the file itself, or one to open."""

    url: str = Field(min_length=1)
    detail: str | None = Field(None, description='of images: only "auto" is offered')


class VideoPart(BaseModel):
    """A video, its sound included."""

    type: Literal["video_url"]
    video_url: Address


class ImagePart(BaseModel):
    """A still picture."""

    type: Literal["image_url"]
    image_url: Address


class InputAudio(BaseModel):
    """A sound file; what it is coded with, it says itself."""

    data: str = Field(min_length=1, description="base64")
    format: str = Field(description="`wav`, `mp3`, `flac`, `ogg`, `opus`, `aac`, `m4a` or `webm`")


class AudioPart(BaseModel):
    """A sound file as a content part."""

    type: Literal["input_audio"]
    input_audio: InputAudio


MediaPart = VideoPart | ImagePart | AudioPart
Part = Annotated[TextPart | MediaPart, Field(discriminator="type")]
Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[Part], Tag("parts")],
    # by hand, so that what is wrong with a part is not told as "not a string"
    Discriminator(lambda value: "text" if isinstance(value, str) else "parts"),
]


class ChatMessage(BaseModel):
    """A message; its content is a string, or a list of parts."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class ChatCompletionRequest(BaseModel):
    """`POST /v1/chat/completions` about a live session or a file; null is as good as absent."""

    model_config = ConfigDict(extra="allow")

    model: str = ""
    session_id: str | None = Field(None, description="the live session that it is about")
    messages: list[ChatMessage] = Field(min_length=1, max_length=64)
    profile: ProfileName | None = Field(None, description="compression profile of a file")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=4096)
    max_completion_tokens: int | None = Field(None, ge=1, le=4096)
    temperature: float | None = Field(0.0, ge=0, le=2)
    top_p: float | None = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=0)
    stop: StopString | StopStrings | None = None
    window_s: float | None = Field(None, gt=0)
    at_s: float | None = Field(None, gt=0)


class AnswerMessage(Response):
    """The message that a completion answers with."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(Response):
    """The one choice of a completion."""

    index: Literal[0] = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(Response):
    """A completion; streamed, it is `chat.completion.chunk` objects and `[DONE]`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time")
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Model(Response):
    """A model that answers."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time")
    owned_by: Literal["omnisift"] = "omnisift"


class ModelList(Response):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]
