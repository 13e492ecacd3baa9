import TesseraCheckpoints
import TesseraCore

/// How a model stretches rotary positions over a longer context than it was first trained with.
///
/// Hugging Face states it in `rope_scaling` or `rope_parameters` of config.json; GGUF in keys below
/// `ARCHITECTURE.rope.scaling`, and for LLaMA 3's kind in a tensor.
enum RotaryScaling: Hashable, Sendable {
  /// All positions are divided.
  case linear(factor: Double)
  /// Slow waves are stretched, and the logits scaled by what follows from the factor.
  case yarn(factor: Double, originalContext: Int, betas: [String: Double])
  /// LLaMA 3's.
  case llama3(RotaryFactors)

  /// The settings of config.json whose numbers have fractions.
  static let fractions = [
    "factor", "beta_fast", "beta_slow", "low_freq_factor", "high_freq_factor",
  ]
  /// What turns yarn's ramp, in both spellings: whole turns within the first context.
  private static let betaNames = ["beta_fast", "beta_slow"]
  /// Settings of yarn that would change it in ways that GGUF has no exact keys for.
  private static let refused = ["attention_factor", "mscale", "mscale_all_dim"]

  /// Reads config.json.
  ///
  /// - Parameter setting: A setting by its name.
  /// - Returns: The scaling; nil where there is none.
  /// - Throws: `TesseraError` where the kind or one of its settings has no place in GGUF.
  static func stated(
    byConfiguration setting: (String) -> JSONValue?
  ) throws(TesseraError) -> RotaryScaling? {
    let names = ["rope_scaling", "rope_parameters"]
    guard let name = names.first(where: { setting($0)?.object?.isEmpty == false }),
      let object = setting(name)?.object
    else { return nil }
    let fields = RotaryFields(place: name) { key in object[key] == .null ? nil : object[key] }
    if let part = fields["partial_rotary_factor"]?.number, part != 1 {
      throw fields.refusal("a 'partial_rotary_factor' of \(part)")
    }
    switch fields["rope_type"]?.string ?? fields["type"]?.string ?? "default" {
    case "default": return nil
    case "linear": return .linear(factor: try fields.positive("factor"))
    case "yarn":
      if let other = refused.first(where: { fields[$0] != nil }) {
        throw fields.refusal("'\(other)' of the kind yarn")
      }
      if fields["truncate"]?.bool == false {
        throw fields.refusal("'truncate' = false of the kind yarn")
      }
      return try yarn(fields, context: context(fields, setting))
    case "llama3":
      let factors = RotaryFactors(
        factor: try fields.positive("factor"),
        lowFrequencyFactor: try fields.positive("low_freq_factor"),
        highFrequencyFactor: try fields.positive("high_freq_factor"),
        originalContext: try context(fields, setting)
      )
      return try checked(factors, fields)
    case let other: throw fields.refusal("the kind '\(other)'")
    }
  }

  /// The first context; Hugging Face lets one beside the object come first, and the whole one last.
  private static func context(
    _ fields: RotaryFields,
    _ setting: (String) -> JSONValue?
  ) throws(TesseraError) -> Int {
    let key = "original_max_position_embeddings"
    let stated = setting(key) ?? fields[key] ?? setting("max_position_embeddings")
    return try fields.context(stated, key)
  }

  /// Reads the keys of a GGUF file.
  ///
  /// - Parameters:
  ///   - architecture: What the keys begin with.
  ///   - key: A key's value as text.
  /// - Returns: The scaling; nil where no key states one.
  /// - Throws: `TesseraError` where config.json has no place for what they state.
  static func stated(
    byKeysOf architecture: String,
    _ key: @escaping (String) -> JSONValue?
  ) throws(TesseraError) -> RotaryScaling? {
    let place = "\(architecture).rope.scaling"
    let fields = RotaryFields(place: place) { key("\(place).\($0)") }
    for name in ["attn_factor", "yarn_ext_factor", "yarn_attn_factor", "yarn_log_multiplier"]
    where fields[name] != nil {
      throw fields.refusal("'\(name)'", in: "config.json")
    }
    if fields["low_freq_factor"] != nil {
      let factors = RotaryFactors(
        factor: try fields.positive("llama3_factor"),
        lowFrequencyFactor: try fields.positive("low_freq_factor"),
        highFrequencyFactor: try fields.positive("high_freq_factor"),
        originalContext: try fields.context("original_context_length")
      )
      return try checked(factors, fields)
    }
    // As llama.cpp reads it: a factor without a kind is linear, and 0 is none.
    let factor = fields["factor"].flatMap { RotaryFields.number($0) } ?? 0
    switch fields["type"]?.string ?? (factor == 0 ? "none" : "linear") {
    case "none": return nil
    case "linear": return .linear(factor: try fields.positive("factor"))
    case "yarn": return try yarn(fields, context: fields.context("original_context_length"))
    case let other: throw fields.refusal("the kind '\(other)'", in: "config.json")
    }
  }

  private static func yarn(
    _ fields: RotaryFields,
    context: Int
  ) throws(TesseraError) -> RotaryScaling {
    var betas: [String: Double] = [:]
    for name in betaNames {
      if fields[name] != nil { betas[name] = try fields.positive(name) }
      let key = "yarn_\(name)"
      if fields[key] != nil { betas[name] = try fields.positive(key) }
    }
    let factor = try fields.positive("factor")
    return .yarn(factor: factor, originalContext: context, betas: betas)
  }

  private static func checked(
    _ factors: RotaryFactors,
    _ fields: RotaryFields
  ) throws(TesseraError) -> RotaryScaling {
    guard factors.lowFrequencyFactor < factors.highFrequencyFactor else {
      throw fields.failure("'low_freq_factor' is not below 'high_freq_factor'")
    }
    return .llama3(factors)
  }

  /// The keys of a GGUF file.
  ///
  /// Those of LLaMA 3's kind are this program's own, for the way back: others read the tensor.
  func entries(_ architecture: String) -> [MetadataEntry] {
    func entry(_ name: String, _ value: MetadataValue) -> MetadataEntry {
      MetadataEntry("\(architecture).rope.scaling.\(name)", value)
    }
    func context(_ count: Int) -> MetadataEntry {
      entry("original_context_length", .uint32(UInt32(clamping: count)))
    }
    switch self {
    case .linear(let factor):
      return [entry("type", .string("linear")), entry("factor", .float32(Float(factor)))]
    case .yarn(let factor, let originalContext, let betas):
      let ramp = betas.sorted { $0.key < $1.key }.map {
        entry("yarn_\($0.key)", .float32(Float($0.value)))
      }
      return [
        entry("type", .string("yarn")), entry("factor", .float32(Float(factor))),
        context(originalContext),
      ] + ramp
    case .llama3(let factors):
      return [
        entry("llama3_factor", .float32(Float(factors.factor))),
        entry("low_freq_factor", .float32(Float(factors.lowFrequencyFactor))),
        entry("high_freq_factor", .float32(Float(factors.highFrequencyFactor))),
        context(factors.originalContext),
      ]
    }
  }

  /// The settings of config.json.
  var settings: [String: JSONValue] {
    switch self {
    case .linear(let factor): return ["rope_type": .string("linear"), "factor": .number(factor)]
    case .yarn(let factor, let originalContext, let betas):
      let stated: [String: JSONValue] = [
        "rope_type": .string("yarn"), "factor": .number(factor),
        "original_max_position_embeddings": .number(Double(originalContext)),
      ]
      return stated.merging(betas.mapValues(JSONValue.number)) { first, _ in first }
    case .llama3(let factors):
      return [
        "rope_type": .string("llama3"), "factor": .number(factors.factor),
        "low_freq_factor": .number(factors.lowFrequencyFactor),
        "high_freq_factor": .number(factors.highFrequencyFactor),
        "original_max_position_embeddings": .number(Double(factors.originalContext)),
      ]
    }
  }
}

/// The settings of scaled rotary positions that are being read.
private struct RotaryFields {
  let place: String
  let field: (String) -> JSONValue?

  subscript(name: String) -> JSONValue? { field(name) }

  func failure(_ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, place: place)
  }

  func refusal(_ what: String, in target: String = "GGUF") -> TesseraError {
    failure("\(what) of scaled rotary positions has no exact place in \(target)")
  }

  /// A number, also where a file states it as text.
  static func number(_ value: JSONValue) -> Double? {
    value.number ?? value.string.flatMap { Double($0) }
  }

  func positive(_ name: String) throws(TesseraError) -> Double {
    guard let number = self[name].flatMap(RotaryFields.number), number > 0, number.isFinite else {
      throw failure("'\(name)' is missing or no number above 0")
    }
    return number
  }

  func context(_ name: String) throws(TesseraError) -> Int { try context(self[name], name) }

  func context(_ value: JSONValue?, _ name: String) throws(TesseraError) -> Int {
    guard let count = value?.wholeNumber, count > 0, count <= Int(UInt32.max) else {
      throw failure("'\(name)' is missing or no whole number from 1 to 2³² - 1")
    }
    return count
  }
}
