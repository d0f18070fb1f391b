// Asks llm-checker what a model needs: the function behind its recommendations.
// usage: node ask_llm_checker.cjs FOLDER MODEL QUANT CONTEXT; MODEL is its description as JSON
const [folder, model, quant, context] = process.argv.slice(2);
const Selector = require(`${folder}/src/models/deterministic-selector.js`);

const selector = new (Selector.DeterministicModelSelector ?? Selector.default ?? Selector)();
console.log(selector.estimateMemoryBreakdown(JSON.parse(model), quant, Number(context)).requiredGB);
