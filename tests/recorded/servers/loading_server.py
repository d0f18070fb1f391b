"""A process that loads a model with llama.cpp, or none, and answers as llama-server does.

Its first argument is a JSON file: port to listen on, model file (empty: nothing is loaded),
context, and the recording to serve. The arguments after it are those of llama-server, for whoever
reads its command line.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
if task["model"]:
    import llama_cpp

    parameters = llama_cpp.llama_model_default_params()
    parameters.use_mmap = False
    model = llama_cpp.llama_model_load_from_file(task["model"].encode(), parameters)
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch = task["context_tokens"], 2048, 512
    settings.n_seq_max = 1
    context = llama_cpp.llama_init_from_model(model, settings)
    told = task["recording"]["answers"]
    told["/v1/models"]["json"]["data"][0]["meta"]["size"] = llama_cpp.llama_model_size(model)
    told["/props"]["json"]["default_generation_settings"]["n_ctx"] = llama_cpp.llama_n_ctx(context)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = task["recording"]["answers"].get(self.path)
        self.send_response(404 if answer is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps((answer or {}).get("json")).encode())

    def log_message(self, *_: object) -> None:
        pass


with HTTPServer(("127.0.0.1", 0), Handler) as server:
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
