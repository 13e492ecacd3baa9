import Foundation
import TesseraCheckpoints
import TesseraCore

/// peft's `adapter_config.json`, as far as it decides a merge; what it decides beyond that is refused by name.
///
/// Scale: alpha / rank, or alpha / sqrt(rank) under `use_rslora` (arXiv 2312.03732).
struct AdapterConfiguration {
  /// Where it stands, for messages.
  let path: String
  let rank: Int?
  let alpha: Double?
  let usesRankStabilization: Bool
  let weightIsTransposed: Bool
  /// Whether modules have magnitudes; nil where nothing says it.
  let usesMagnitudes: Bool?
  private let alphaPattern: [String: Double]
  private let rankPattern: [String: Double]
  /// The modules that are changed and those that are not, as lists of names or one pattern.
  private let targets: JSONValue?
  private let exclusions: JSONValue?

  /// The configuration beside an adapter's file; nil where there is none.
  static func beside(_ path: String) throws(TesseraError) -> AdapterConfiguration? {
    let folder = (path as NSString).deletingLastPathComponent
    let file = (folder.isEmpty ? "." : folder) + "/adapter_config.json"
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    guard let bytes = try? FileDigest.bytes(of: file, maximumBytes: 1 << 20),
      let json = try? JSONValue(parsing: String(decoding: bytes, as: UTF8.self)),
      let values = json.object
    else {
      throw TesseraError.malformed("no adapter configuration of peft's", file: file)
    }
    return try AdapterConfiguration(values, path: file)
  }

  /// The configurations in the metadata of a file of diffusers', by model; empty where there is none.
  static func packed(
    in adapter: any CheckpointReader,
    path: String
  ) throws(TesseraError) -> [String: AdapterConfiguration] {
    guard let text = adapter.attributes["lora_adapter_metadata"] else { return [:] }
    guard let values = (try? JSONValue(parsing: text))?.object else {
      let cause = "its metadata 'lora_adapter_metadata' are no JSON object"
      throw TesseraError.malformed(cause, file: path)
    }
    var parts: [String: [String: JSONValue]] = [:]
    for (key, value) in values {
      let end = key.firstIndex(of: ".")
      let model = end.map { String(key[..<$0]) } ?? ""
      let name = end.map { String(key[key.index(after: $0)...]) } ?? key
      parts[model, default: [:]][name] = value
    }
    var configurations: [String: AdapterConfiguration] = [:]
    for (model, values) in parts {
      configurations[model] = try AdapterConfiguration(values, path: "\(path), metadata")
    }
    return configurations
  }

  /// Reads the fields; LoRA says `lora_alpha`, LoHa and LoKr say `alpha`.
  ///
  /// - Throws: `TesseraError` where a field asks for what a merge here does not do, or is not known.
  init(_ values: [String: JSONValue], path: String) throws(TesseraError) {
    self.path = path
    for key in values.keys.sorted() {
      guard let value = values[key] else { continue }
      try AdapterConfiguration.check(key, value, path)
    }
    rank = values["r"]?.number.flatMap { Int(exactly: $0) }
    alpha = values["lora_alpha"]?.number ?? values["alpha"]?.number
    usesRankStabilization = values["use_rslora"]?.bool ?? false
    weightIsTransposed = values["fan_in_fan_out"]?.bool ?? false
    usesMagnitudes = values["use_dora"]?.bool
    alphaPattern = try AdapterConfiguration.numbers("alpha_pattern", values, path)
    rankPattern = try AdapterConfiguration.numbers("rank_pattern", values, path)
    // Where only some layers are meant, the lists say less than the tensors.
    let isPartial = values["layers_to_transform"].map { $0 != .null } ?? false
    targets = isPartial ? nil : values["target_modules"]
    exclusions = values["exclude_modules"]
  }

  private static func numbers(
    _ key: String,
    _ values: [String: JSONValue],
    _ path: String
  ) throws(TesseraError) -> [String: Double] {
    let members = values[key]?.object ?? [:]
    let numbers = members.compactMapValues(\.number)
    guard numbers.count == members.count else {
      let cause = "a member of '\(key)' is no number"
      throw TesseraError.malformed(cause, file: path)
    }
    return numbers
  }
}

extension AdapterConfiguration {
  /// Fields that a merge follows, and fields that matter to training and loading alone.
  private static let understood: Set<String> = [
    "r", "lora_alpha", "alpha", "use_rslora", "fan_in_fan_out", "use_dora", "alpha_pattern",
    "rank_pattern", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "lora_dropout", "rank_dropout", "module_dropout", "rank_dropout_scale",
    "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config",
    "qalora_group_size", "use_effective_conv2d", "decompose_both", "decompose_factor",
    "init_weights", "ensure_weight_tying",
  ]
  /// Initializations that leave the base as it is; all others change it before training.
  private static let plainStarts: Set<String> = ["gaussian", "eva", "orthogonal", "true", "false"]

  private static func check(
    _ key: String,
    _ value: JSONValue,
    _ path: String
  ) throws(TesseraError) {
    if understood.contains(key) || isUnset(value) { return }
    switch key {
    case "peft_type":
      guard let type = value.string, ["LORA", "LOHA", "LOKR"].contains(type.uppercased()) else {
        throw refusal(key, value, "only LORA, LOHA and LOKR are merged", path)
      }
    case "init_lora_weights":
      guard value.bool == nil, !plainStarts.contains(value.string?.lowercased() ?? "") else {
        return
      }
      let cause =
        "the adapter was trained on a base that this initialization has changed, and is no change of "
        + "the base itself; save it with peft's "
        + "save_pretrained(…, path_initial_model_for_weight_conversion=…)"
      throw refusal(key, value, cause, path)
    case "bias":
      guard value.string != "none" else { return }
      throw refusal(key, value, "trained biases are not merged", path)
    case "modules_to_save":
      throw refusal(key, value, "whole modules of the adapter are not merged", path)
    default:
      let cause = "is not understood here, and may decide what the adapter does"
      throw refusal(key, value, cause, path)
    }
  }

  /// What every field of this kind means where it asks for nothing.
  private static func isUnset(_ value: JSONValue) -> Bool {
    value == .null || value == .bool(false) || value == .array([]) || value == .object([:])
  }

  private static func refusal(
    _ key: String,
    _ value: JSONValue,
    _ cause: String,
    _ path: String
  ) -> TesseraError {
    let data = (try? CanonicalJSON.line(value)).map {
      String(decoding: $0.dropLast(), as: UTF8.self)
    }
    let text = String((data ?? "").prefix(60))
    let merging = "; merge with peft's merge_and_unload and convert that"
    let next = key == "init_lora_weights" ? "" : merging
    return TesseraError.mismatch("\(text): \(cause)\(next)", file: path, place: "'\(key)'")
  }
}

extension AdapterConfiguration {
  /// The numbers of the patterns that a module's path ends in, or the general one.
  private func numbers(
    of module: String,
    _ patterns: [String: Double],
    else general: Double?
  ) -> Set<Double> {
    let fitting = patterns.filter { pattern, _ in
      module.range(of: "^(.*\\.)?(\(pattern))$", options: .regularExpression) != nil
    }
    return Set(fitting.isEmpty ? [general].compactMap { $0 } : Array(fitting.values))
  }

  /// What the change of a module is multiplied by: one number, none where nothing says alpha, several
  /// where patterns contradict each other (peft takes the first in the file's order, which JSON does
  /// not keep).
  func scales(of module: String, rank: Int) -> Set<Double> {
    let divisor = usesRankStabilization ? Double(rank).squareRoot() : Double(rank)
    return Set(numbers(of: module, alphaPattern, else: alpha).map { $0 / divisor })
  }

  /// What contradicts a module that the adapter has: peft would not load it.
  func contradiction(of module: AdapterModule, rank: Int?) -> String? {
    let name = module.key.module
    if module.key.naming != .kohya {
      if let targets, !AdapterConfiguration.names(targets, name) {
        return "'target_modules' does not name it, and peft leaves it out"
      }
      if let exclusions, exclusions != .null, AdapterConfiguration.names(exclusions, name) {
        return "'exclude_modules' names it, and peft leaves it out"
      }
    }
    let ranks = numbers(of: name, rankPattern, else: self.rank.map(Double.init))
    if let rank, !ranks.isEmpty, !ranks.contains(Double(rank)) {
      let said = ranks.sorted().map { "\($0)" }.joined(separator: ", ")
      return "it has the rank \(rank), and the adapter's configuration says \(said)"
    }
    let hasMagnitudes = module.parts[.magnitude] != nil
    guard let usesMagnitudes, hasMagnitudes != usesMagnitudes else { return nil }
    return usesMagnitudes
      ? "'use_dora' is set, and it has no magnitudes"
      : "it has DoRA's magnitudes, and 'use_dora' is not set"
  }

  /// Whether a list of names, or a pattern of whole names, names a module; what says nothing names all.
  private static func names(_ value: JSONValue, _ module: String) -> Bool {
    if let list = value.array {
      return list.compactMap(\.string).contains { module == $0 || module.hasSuffix(".\($0)") }
    }
    guard let pattern = value.string, pattern != "all-linear",
      (try? NSRegularExpression(pattern: pattern)) != nil
    else { return true }
    return module.range(of: "^(?:\(pattern))$", options: .regularExpression) != nil
  }
}
