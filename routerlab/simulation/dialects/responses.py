"""OpenAI's Responses format: errors and limits as in its chat format, all else of its own.

Source: OpenAI's API reference ("Responses").
"""

from __future__ import annotations

from dataclasses import replace

from routerlab.core.script import Script
from routerlab.simulation.dialects.base import Endpoint
from routerlab.simulation.dialects.openai import OpenAI
from routerlab.simulation.dialects.problems import Problem
from routerlab.simulation.dialects.responses_answer import ResponseWriter
from routerlab.simulation.dialects.responses_request import problem_of, read

__all__ = ["Responses"]

_WORDS = {
    **OpenAI.words,
    "no_chat": Problem(400, "The requested model is not supported with the Responses API.", param="model"),
    "no_json": Problem(
        400,
        "Invalid parameter: 'text.format' is not supported with this model.",
        code="unsupported_parameter",
        param="text.format",
    ),
    "no_vision": Problem(400, "Invalid content type. input_image is only supported by certain models."),
}


class Responses(OpenAI):
    """OpenAI's Responses format."""

    kind = "openai_responses"
    prefix = "/v1/responses"
    endpoints = (Endpoint(("/v1/responses", "/openai/v1/responses"), problem_of, read, ResponseWriter),)
    listing = ()
    words = _WORDS

    def translated(self, script: Script) -> Script:
        """Errors as they are; an answer without choices is one without output."""
        if script.body is None or isinstance(script.body, str) or script.body.get("choices") != []:
            return script
        return replace(script, stream=False, body=None, steps=())
