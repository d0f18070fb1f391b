// Asks node-llama-cpp about cases: JSON on standard input, a JSON line for each on standard output.
// usage: node ask_node_llama_cpp.mjs MODULE FILE < CASES
// CASES is a list of {contextSize, sequences, batchSize, ...} as its estimates take them; with
// `gpuLayers` the answer is its formula's, since its simulation needs the GPU to be there.
import {readFileSync} from "node:fs";

const [module, file] = process.argv.slice(2);
const {getLlama, readGgufFileInfo, GgufInsights} = await import(module);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const insights = await GgufInsights.from(await readGgufFileInfo(file, {sourceType: "filesystem"}), llama);

for (const {gpuLayers, ...context} of JSON.parse(readFileSync(0, "utf8"))) {
    let model, rest;
    if (gpuLayers == null) {
        model = await insights.estimateModelResourceRequirementsV2({gpuLayers: 0, useMmap: false});
        rest = await insights.estimateContextResourceRequirementsV2({modelGpuLayers: 0, ...context});
    } else {
        const layers = gpuLayers < 0 ? insights.totalLayers : gpuLayers;
        model = insights.estimateModelResourceRequirements({gpuLayers: layers, useMmap: false});
        rest = insights.estimateContextResourceRequirements({modelGpuLayers: layers, ...context});
    }
    console.log(JSON.stringify({ram: model.cpuRam + rest.cpuRam, vram: model.gpuVram + rest.gpuVram}));
}
process.exit(0);
