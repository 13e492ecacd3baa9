import TesseraCheckpoints
import TesseraCore

extension Recipe {
  /// Converts the settings beside the tensors, with sizes from the shapes.
  func addSettings(
    to rules: inout ConversionRules,
    from input: RecipeInput,
    _ sizes: [String: Int],
    _ scaling: RotaryScaling? = nil
  ) throws(TesseraError) {
    guard right.settings != .none, !keys.isEmpty else { return }
    var object: [String: JSONValue] = [:]
    for key in keys {
      guard let name = key.names[1],
        let value = try value(of: key, named: name, rules, input, sizes) ?? key.value
      else { continue }
      if right.settings == .gguf {
        guard let typed = key.type.metadata(value) else {
          let cause = "'\(value.spelled ?? "?")' is no \(key.type.rawValue)"
          throw TesseraError.mismatch(cause, place: name).inRecipe(identifier)
        }
        // Two keys of the source may be two spellings of one; the later one is the newer.
        rules.metadata.removeAll { $0.key == name }
        rules.metadata.append(MetadataEntry(name, typed))
      } else {
        Recipe.set(value, at: name.split(separator: ".").map(String.init)[...], in: &object)
      }
    }
    if right.settings == .json {
      var fractions = keys.filter { $0.type == .float32 }.compactMap { $0.names[1] }
      // Transformers before 5 reads the one, later ones both.
      for name in ["rope_scaling", "rope_parameters"] {
        for (key, value) in scaling?.settings ?? [:] {
          Recipe.set(value, at: [name, key], in: &object)
        }
        fractions += RotaryScaling.fractions.map { "\(name).\($0)" }
      }
      let writer = SettingsText(fractions: Set(fractions))
      rules.companions["config.json"] = writer.text(object)
      rules.configuration = writer.line(object)
    }
  }

  /// The value of a setting: a size, whether tensors are tied, or what the other side says; nil for none of them.
  private func value(
    of key: RecipeKey,
    named name: String,
    _ rules: ConversionRules,
    _ input: RecipeInput,
    _ sizes: [String: Int]
  ) throws(TesseraError) -> JSONValue? {
    if key.isTied, let tie = ties.first?.sides[1] {
      return .bool(!rules.rules.contains { $0.targets.contains(tie.name) })
    }
    if let template = key.holds.last {
      return .bool(rules.rules.contains { $0.targets.contains { template.match($0) != nil } })
    }
    if !key.layers.isEmpty { return try layers(of: key, named: name, rules) }
    if let expression = key.size {
      guard let size = expression.value(sizes) else {
        let cause = "the size '\(expression)' is not known"
        throw TesseraError.mismatch(cause, place: name).inRecipe(identifier)
      }
      return .number(Double(size))
    }
    guard let source = key.names[0], let stated = input.setting(source, in: left) else {
      return nil
    }
    guard let typed = key.type.value(stated) else {
      let cause = "'\(stated.spelled ?? "?")' is no \(key.type.rawValue)"
      throw TesseraError.mismatch(cause, place: source).inRecipe(identifier)
    }
    return typed
  }

  /// What each layer of the result is, by the tensors that it has.
  private func layers(
    of key: RecipeKey,
    named name: String,
    _ rules: ConversionRules
  ) throws(TesseraError) -> JSONValue {
    var found: [Int: String] = [:]
    for target in rules.rules.flatMap(\.targets) {
      for (template, kind) in key.layers {
        let number = template.match(target)?.values.first.flatMap { Int($0) }
        if let number { found[number] = kind }
      }
    }
    let kinds = (0..<found.count).compactMap { found[$0] }
    guard kinds.count == found.count else {
      throw TesseraError.mismatch("a layer is missing", place: name).inRecipe(identifier)
    }
    return .array(kinds.map(JSONValue.string))
  }

  private static func set(
    _ value: JSONValue,
    at path: ArraySlice<String>,
    in object: inout [String: JSONValue]
  ) {
    guard let first = path.first else { return }
    if path.count == 1 {
      object[first] = value
      return
    }
    var inner = object[first]?.object ?? [:]
    set(value, at: path.dropFirst(), in: &inner)
    object[first] = .object(inner)
  }
}

extension RecipeKeyType {
  /// A value of this type; settings of GGUF files come as text.
  func value(_ json: JSONValue) -> JSONValue? {
    switch self {
    case .uint32, .int32: return json.wholeNumber.map { .number(Double($0)) }
    case .float32: return (json.number ?? json.string.flatMap(Double.init)).map(JSONValue.number)
    case .bool:
      if json.bool != nil { return json }
      return json.string.flatMap { Bool($0) ?? ($0 == "1" ? true : $0 == "0" ? false : nil) }
        .map(JSONValue.bool)
    case .string: return json.string.map(JSONValue.string)
    case .strings: return json.array == nil ? nil : json
    }
  }

  /// The value as a GGUF file holds it.
  func metadata(_ json: JSONValue) -> MetadataValue? {
    switch self {
    case .uint32: return json.number.flatMap { UInt32(exactly: $0) }.map(MetadataValue.uint32)
    case .int32: return json.number.flatMap { Int32(exactly: $0) }.map(MetadataValue.int32)
    case .float32: return json.number.map { .float32(Float($0)) }
    case .bool: return json.bool.map(MetadataValue.bool)
    case .string: return json.string.map(MetadataValue.string)
    case .strings: return json.array.map { .strings($0.compactMap(\.string)) }
    }
  }
}
