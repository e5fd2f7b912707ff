"""The subcommands that run a model, on the driver that the environment names."""
import json
import os
import signal
import struct
import subprocess
import tempfile

from program import DEMO, PUMICE, SOURCE, Case, main, run

STATS = r"(?m)^\d+ prompt \+ \d+ generated tokens \(\w+\), prompt [\d.]+ tok/s, generation [\d.]+ tok/s, " \
        r"first token \d+ ms, \d+ of \d+ KV pages$"


class Run(Case):
    def test_greedy_is_reproducible(self):
        args = ("run", "-m", DEMO, "-p", "Once upon a time", "-n", 24, "--temp", 0)
        code, text, err = run(*args)
        self.assertEqual(code, 0, err)
        self.assertRegex(err, STATS)
        self.assertEqual(self.ok(*args), text)
        found = json.loads(self.ok(*args, "--json"))
        self.assertEqual(found["text"].encode(), text)
        self.assertEqual(len(found["tokens"]), found["generated_tokens"])
        self.assertGreater(found["timings"]["first_token_s"], 0)

    def test_a_seed_gives_one_text(self):
        args = ("run", "-m", DEMO, "-p", "Once", "-n", 16, "--temp", 1, "--ignore-eos")
        self.assertEqual(self.ok(*args, "--seed", 7), self.ok(*args, "--seed", 7))
        self.assertNotEqual(self.ok(*args, "--seed", 7), self.ok(*args, "--seed", 8))

    def test_prompts_from_everywhere_are_one(self):
        text = b"The fox and the bell"
        args = ("run", "-m", DEMO, "-n", 6, "--temp", 0, "--ignore-eos")
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            expected = self.ok(*args, "-f", file.name)
        self.assertEqual(self.ok(*args, "-p", text.decode()), expected)
        self.assertEqual(self.ok(*args, "-p", "-", given=text), expected)
        self.assertEqual(json.loads(self.ok(*args, "-p", "", "--json"))["prompt_tokens"], 1)

    def test_options_of_the_pool(self):
        args = ("run", "-m", DEMO, "-p", "Once", "-n", 8, "--temp", 0)
        expected = self.ok(*args, "--kv-type", "f32")
        self.assertEqual(self.ok(*args, "--kv-type", "f32", "--page-tokens", 32, "--ctx", 64, "--batch-tokens=4"), expected)
        self.assertEqual(self.ok(*args, "--kv-type", "f32", "--deterministic", "--batch-tokens", 3), expected)
        self.assertNotEqual(self.ok(*args, "--kv-type", "q8_0"), b"")
        self.assertNotEqual(self.ok(*args, "--kv-type", "q4_0"), b"")
        code, out, err = run(*args, "--kv-bytes", "1K")
        self.assertEqual((code, out), (1, b""), err)

    def test_stops_biases_and_guesses(self):
        args = ("run", "-m", DEMO, "-p", "Once upon a time", "-n", 24, "--temp", 0, "--deterministic")
        text = self.ok(*args)
        stop = text[20:26].decode()
        self.assertEqual(self.ok(*args, "--stop", "never there", "--stop", stop), text[:text.index(stop.encode())])
        tokens = json.loads(self.ok(*args, "--json"))["tokens"]
        banned = json.loads(self.ok(*args, "--json", "--logit-bias", f"{tokens[0]}=-inf,{tokens[2]}=-1000"))["tokens"]
        self.assertFalse({tokens[0], tokens[2]} & set(banned))
        self.assertEqual(self.ok(*args, "--speculate", "lookup", "--draft-tokens", 7), text)
        self.assertEqual(self.ok(*args, "--draft", DEMO, "--draft-tokens", 3), text)
        guessed = json.loads(self.ok(*args, "--json", "--speculate", "draft", "--draft", DEMO))
        self.assertEqual(guessed["tokens"], tokens)
        self.assertGreater(guessed["accepted_tokens"], 0)
        self.assertIn("--draft FILE", self.usage(*args, "--speculate", "draft"))
        self.assertIn("--draft-tokens", self.usage(*args, "--draft-tokens", 8))
        code, out, err = run(*args, "--draft", os.path.join(SOURCE, "tests/data/hf/llama-gqa/model.gguf"))
        self.assertEqual((code, out), (1, b""), err)
        self.assertIn("160 tokens", err)
        self.assertNotEqual(self.ok(*args, "--frequency-penalty", 2, "--presence-penalty", 2, "-n", 60), text)
        self.assertIn("--logit-bias", self.usage(*args, "--logit-bias", "5:1"))
        self.assertIn("--min-p", self.usage(*args, "--min-p", 2))

    def test_answers_with_log_probabilities(self):
        args = ("run", "-m", DEMO, "-p", "Once", "-n", 4, "--temp", 1, "--seed", 5, "--ignore-eos", "--deterministic")
        found = json.loads(self.ok(*args, "--json", "--n", 3, "--logprobs", 2, "--echo"))
        self.assertEqual(len(found["others"]), 2)
        self.assertTrue(found["text"].startswith("Once"))
        self.assertEqual(len(found["logprobs"]), found["prompt_tokens"] + 4)
        for entry in found["logprobs"][1:]:
            self.assertEqual(len(entry["top"]), 2)
            self.assertLessEqual(entry["logprob"], entry["top"][0]["logprob"] + 1e-6)
        self.assertEqual(found["others"][0]["tokens"], json.loads(self.ok(*args[:-4], "--seed", 6, *args[-2:], "--json"))["tokens"])
        self.assertIn("--json", self.usage(*args, "--logprobs", 1))

    def test_profile_names_the_ops(self):
        _, _, err = run("run", "-m", DEMO, "-p", "Once", "-n", 2, "--profile")
        self.assertRegex(err, r"(?m)^matmul")

    def test_an_interrupt_ends_the_text_and_says_so(self):
        with subprocess.Popen([PUMICE, "run", "-m", DEMO, "-p", "", "--ignore-eos"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as program:
            program.stdout.read(1)
            program.send_signal(signal.SIGINT)
            _, err = program.communicate(timeout=120)
        self.assertEqual(program.returncode, 130)
        self.assertRegex(err.decode(), STATS)
        self.assertIn("(cancelled)", err.decode())


class Chat(Case):
    def test_one_prompt_per_line_in_one_conversation(self):
        code, out, err = run("chat", "-m", DEMO, "--temp", 0, given=b"my name is Ada\n\nwhat is my name?\n")
        self.assertEqual(code, 0, err)
        answers = out.decode().splitlines()
        self.assertEqual(len(answers), 2)
        self.assertIn("Ada", answers[1])
        self.assertEqual(len([line for line in err.splitlines() if "KV pages" in line]), 2)

    def test_save_clear_load(self):
        with tempfile.TemporaryDirectory() as folder:
            saved = os.path.join(folder, "talk.json")
            lines = f"my name is Ada\n/save {saved}\n/clear\nwhat is my name?\n/load {saved}\nwhat is my name?\n/quit\nhello\n"
            out = self.ok("chat", "-m", DEMO, "--temp", 0, given=lines.encode()).decode().splitlines()
            with open(saved, encoding="utf-8") as file:
                talk = json.load(file)
        self.assertEqual([m["role"] for m in talk], ["user", "assistant"])
        self.assertEqual(len(out), 3)
        self.assertNotIn("Ada", out[1])
        self.assertIn("Ada", out[2])

    def test_words_never_end_a_turn(self):
        """A typed control token costs tokens like any word: it is not one token that ends the message."""
        def prompt_tokens(line):
            _, _, err = run("chat", "-m", DEMO, "--temp", 0, "-n", 1, given=line.encode() + b"\n")
            return int(err.split(" prompt +")[0].split()[-1])
        self.assertGreater(prompt_tokens("a<|im_end|>b"), prompt_tokens("a b") + 4)

    def test_a_full_context_forgets_the_oldest_turn(self):
        code, out, err = run("chat", "-m", DEMO, "--temp", 0, "--ctx", 96, "-n", 16, given=b"tell me about the fox\n" * 6)
        self.assertEqual(code, 0, err)
        self.assertEqual(len(out.decode().splitlines()), 6)
        self.assertIn("forgotten", err)

    def test_a_message_longer_than_the_context(self):
        code, _, err = run("chat", "-m", DEMO, "--ctx", 32, given=b"fox " * 100 + b"\n")
        self.assertEqual(code, 1)
        self.assertIn("32", err)

    def test_an_unknown_template_is_named(self):
        code, out, err = run("chat", "-m", DEMO, "--template", "nothing", given=b"hello\n")
        self.assertEqual((code, out), (1, b""))
        self.assertIn("chatml", err)


class Scores(Case):
    def test_logits_are_a_whole_matrix(self):
        text = "Once upon a time"
        vocab = json.loads(self.ok("inspect", "-m", DEMO, "--json"))["metadata"]["llama.vocab_size"]["value"]
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "logits")
            ids = json.loads(self.ok("tokenize", "-m", DEMO, "--json", "-p", text))
            self.ok("logits", "-m", DEMO, "--tokens", ",".join(map(str, ids)), "-o", out)
            with open(out, "rb") as file:
                data = file.read()
            self.assertEqual(len(data), len(ids) * vocab * 4)
            last = struct.unpack(f"<{vocab}f", data[-4 * vocab:])
            found = json.loads(self.ok("run", "-m", DEMO, "-p", text, "-n", 1, "--temp", 0, "--json"))
            self.assertEqual(found["tokens"], [max(range(vocab), key=lambda i: last[i])])
            self.ok("logits", "-m", DEMO, "-p", text, "-o", out)
            with open(out, "rb") as file:
                self.assertEqual(file.read(), data)
            code, _, _ = run("logits", "-m", DEMO, "--tokens", "1,999999", "-o", os.path.join(folder, "none"))
            self.assertEqual(code, 1)
            self.assertEqual(os.listdir(folder), ["logits"])

    def test_perplexity(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"Once upon a time, a brave horse lived in a quiet valley. One day, the horse got a basket. " * 6)
            file.flush()
            found = json.loads(self.ok("ppl", "-m", DEMO, "-f", file.name, "--ctx", 32, "--json"))
            text = self.ok("ppl", "-m", DEMO, "-f", file.name, "--ctx", 32).decode()
            code, _, err = run("ppl", "-m", DEMO, "-f", file.name, "--ctx", 512)
        self.assertEqual(text, f"{found['perplexity']:.4f} +/- {found['standard_error']:.4f}\n")
        self.assertEqual(found["scored_tokens"], found["windows"] * 15)
        self.assertTrue(1 < found["perplexity"] < 1000)
        self.assertEqual(code, 1, err)

    def test_bench(self):
        found = json.loads(self.ok("bench", "-m", DEMO, "--pp", "8,16", "--tg", 4, "--reps", 2, "--json"))
        for row in ("pp8", "pp16", "tg4"):
            self.assertLessEqual(found[row]["min"], found[row]["tokens_per_s"])
            self.assertGreater(found[row]["min"], 0)
        self.assertGreater(found["tg4"]["percent_of_bandwidth"], 0)
        self.assertEqual(run("bench", "-m", DEMO, "--pp", "8,x")[0], 2)

    def test_bench_of_many(self):
        found = json.loads(self.ok("bench", "-m", DEMO, "--batch", "1,3", "--tg", 4, "--json"))["loads"]
        self.assertEqual([row["requests"] for row in found], [1, 3])
        for row in found:
            self.assertGreater(row["steady_tokens_per_s"], 0)
            self.assertEqual(sorted(row["between_tokens_ms"]), row["between_tokens_ms"])
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,20,3\n2023-11-16 18:17:04.03,900,5\n")
            file.flush()
            trace = json.loads(self.ok("bench", "-m", DEMO, "--ctx", 64, "--trace", file.name, "--json"))["loads"][0]
        self.assertEqual(trace["requests"], 2)
        self.assertEqual(trace["evicted_pages"], 0)  # there are more than both fill
        # A context of 64 tokens is 4 pages: 3 are shared, and the fourth has no name.
        self.assertRegex(self.ok("bench", "-m", DEMO, "--ctx", 64, "--seqs", 1, "--shared", 48, "--requests", 2).decode(),
                         r"times shorter; 0 pages evicted")
        self.assertIn("times", self.ok("bench", "-m", DEMO, "--stall", 40, "--seqs", 2, "--tg", 8).decode())
        self.assertIn("--batch", self.usage("bench", "-m", DEMO, "--batch", "1,x"))

    def test_bench_of_a_long_time(self):
        """Every sampler, cancels and deadlines, again and again: nothing is lost, and what comes again is answered alike."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
            for i in range(12):
                file.write(f"2023-11-16 18:17:03.{i:02d},{5 + 7 * i % 40},{1 + i % 5}\n")
            file.flush()
            code, out, err = run("bench", "-m", DEMO, "--ctx", 64, "--seqs", 4, "--trace", file.name, "--duration", 4,
                                 "--deterministic")
            self.assertEqual(self.usage("bench", "-m", DEMO, "--trace", file.name, "--duration", 1, "--json")[:7], "pumice ")
        self.assertEqual(code, 0, err)
        rows = [line.split(",") for line in out.decode().splitlines()]
        self.assertEqual(rows[0][:3], ["seconds", "requests", "answers"])
        self.assertTrue(len(rows) > 2 and all(len(row) == len(rows[0]) for row in rows))
        self.assertRegex(err, r"[1-9]\d* came again and were held to the answers before; .* 0 faults")
        self.assertIn("--trace", self.usage("bench", "-m", DEMO, "--duration", 1))

    def test_variants(self):
        """Each matmul variant that runs here says the same at temperature 0; the others say what they lack."""
        prompt = ("run", "-m", DEMO, "-p", "Once upon a time", "-n", 6, "--temp", 0)
        said = self.ok(*prompt)
        self.assertTrue(said.strip())
        lines = self.ok("devices", "--variants").decode().splitlines()
        names = [line.split()[0] for line in lines]
        self.assertIn("attention:prefill_coopmat", names)
        for line in lines:
            self.assertRegex(line, r"^(matmul|attention):\w+ +\w+ .*\w$")
        self.assertRegex("\n".join(lines), r"matmul:coopmat2 .*; needs NV cooperative matrices 2\n")
        families = ("rows4", "lanes16", "texels16", "tile64", "dot1", "dot16", "dot64")
        ran = 0
        for name in families:
            self.assertIn("matmul:" + name, names)
            code, out, err = run(*prompt, "--variant", "matmul:" + name)
            if code == 0:
                self.assertEqual(out, said, name)
                ran += 1
            else:
                self.assertRegex(err, f"variant {name} on weights of type .* needs")
                self.assertIn(name, ("lanes16", "texels16"))
        self.assertGreaterEqual(ran, 5)
        self.assertIn("has no variant 'none', expected one of", run(*prompt, "--variant", "matmul:none")[2])

    def test_vectors_of_any_width(self):
        if "llvmpipe" not in self.ok("devices").decode():
            self.skipTest("lavapipe alone has vectors whose width can be asked for")
        prompt = ("run", "-m", DEMO, "-p", "Once upon a time", "-n", 6, "--temp", 0)
        said = self.ok(*prompt)
        with tempfile.TemporaryDirectory() as cache:
            for lanes, files in ((4, 1), (8, 2), (16, 3)):
                env = {"LP_NATIVE_VECTOR_WIDTH": str(32 * lanes), "XDG_CACHE_HOME": cache, "MESA_SHADER_CACHE_DISABLE": "true"}
                if lanes == 4:     # a processor without F16C
                    env["GALLIUM_OVERRIDE_CPU_CAPS"] = "sse4.1"
                self.assertIn(f"subgroups of {lanes} to {lanes},", self.ok("devices", env=env).decode())
                self.assertEqual(self.ok(*prompt, env=env), said, lanes)
                for stem in ("pipelines", "verified"): # what holds for one width is not taken for another's
                    found = [name for name in os.listdir(os.path.join(cache, "pumice")) if name.startswith(stem)]
                    self.assertEqual(len(found), files, (stem, lanes))

    def test_devices(self):
        found = json.loads(self.ok("devices", "--json"))
        text = self.ok("devices").decode()
        for device in found:
            self.assertIn(device["uuid"], text)
            self.assertEqual(device["missing"], "")


if __name__ == "__main__":
    main()
