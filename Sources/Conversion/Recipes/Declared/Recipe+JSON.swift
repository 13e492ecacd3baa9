package import Readers
import Tensors

extension Recipe {
  /// Reads a recipe from the text of its file.
  ///
  /// - Parameters:
  ///   - text: JSON as `schemas/recipe.schema.json` states it.
  ///   - file: What messages call it.
  /// - Throws: `RecipeError` where it is no recipe, with the rule and the cause.
  public init(parsing text: String, file: String) throws(RecipeError) {
    let json: JSONValue
    do {
      json = try JSONValue(parsing: text)
    } catch {
      throw RecipeError("is no JSON", place: file)
    }
    let fields = RecipeFields(json, place: file)
    try fields.check([
      "$schema", "name", "version", "title", "family", "left", "right", "sizes", "counts", "rules",
      "drop", "constants", "ties", "config", "notes",
    ])
    var definitions: [RecipeRule.Definition] = []
    for rule in try fields.objects("rules") { definitions.append(try rule.definition()) }
    guard !definitions.isEmpty else { throw RecipeError("has no rules", place: file) }
    var drops: [RecipeDrop] = []
    for drop in try fields.objects("drop") { drops.append(try drop.drop()) }
    var constants: [RecipeConstant] = []
    for constant in try fields.objects("constants") { constants.append(try constant.constant()) }
    var ties: [RecipeTie] = []
    for tie in try fields.objects("ties") { ties.append(try tie.tie()) }
    var keys: [RecipeKey] = []
    for key in try fields.objects("config") { keys.append(try key.key()) }
    try self.init(
      name: try fields.text("name"),
      version: try fields.integer("version"),
      title: try fields.text("title"),
      family: try fields.text("family"),
      layouts: [try fields.layout("left"), try fields.layout("right")],
      sizes: try fields.sizes(),
      notes: json["notes"]?.array?.compactMap(\.string) ?? [],
      definitions: definitions,
      drops: drops,
      constants: constants,
      ties: ties,
      counts: try fields.counts(),
      keys: keys
    )
  }

  /// The recipe as its file states it.
  package var json: JSONValue {
    var object: [String: JSONValue] = [
      "name": .string(name), "version": .number(Double(version)), "title": .string(title),
      "family": .string(family), "left": left.json, "right": right.json,
      "rules": .array(definitions.map(\.json)),
    ]
    if !sizes.isEmpty {
      let all = sizes.map { ($0.name, $0.json) }
      object["sizes"] = .object(Dictionary(all) { first, _ in first })
    }
    if !counts.isEmpty {
      object["counts"] = .object(counts.mapValues { .array($0.map(JSONValue.string)) })
    }
    if !drops.isEmpty { object["drop"] = .array(drops.map(\.json)) }
    if !constants.isEmpty { object["constants"] = .array(constants.map(\.json)) }
    if !ties.isEmpty { object["ties"] = .array(ties.map(\.json)) }
    if !keys.isEmpty { object["config"] = .array(keys.map(\.json)) }
    if !notes.isEmpty { object["notes"] = .array(notes.map(JSONValue.string)) }
    return .object(object)
  }
}

/// An object of a recipe's JSON that is being read.
private struct RecipeFields {
  let json: JSONValue
  let place: String

  init(_ json: JSONValue, place: String) {
    self.json = json
    self.place = place
  }

  func failure(_ cause: String) -> RecipeError { RecipeError(cause, place: place) }

  /// Refuses fields that nothing reads: a misspelled one would be a silent default.
  func check(_ known: Set<String>) throws(RecipeError) {
    guard let object = json.object else { throw failure("is no object") }
    if let other = object.keys.sorted().first(where: { !known.contains($0) }) {
      throw failure("there is no field '\(other)'")
    }
  }

  func text(_ key: String) throws(RecipeError) -> String {
    guard let text = json[key]?.string else { throw failure("'\(key)' is missing or no text") }
    return text
  }

  func integer(_ key: String) throws(RecipeError) -> Int {
    guard let number = json[key]?.number.flatMap({ Int(exactly: $0) }) else {
      throw failure("'\(key)' is missing or no whole number")
    }
    return number
  }

  func objects(_ key: String) throws(RecipeError) -> [RecipeFields] {
    guard let value = json[key] else { return [] }
    guard let array = value.array else { throw failure("'\(key)' is no list") }
    return array.enumerated().map { RecipeFields($1, place: "\(place): \(key)[\($0)]") }
  }

  func layout(_ key: String) throws(RecipeError) -> RecipeLayout {
    if let name = json[key]?.string { return RecipeLayout(name: name, settings: .none, marks: [:]) }
    guard let value = json[key] else { throw failure("'\(key)' is missing") }
    let fields = RecipeFields(value, place: "\(place): \(key)")
    try fields.check(["layout", "settings", "marks"])
    guard let settings = RecipeLayout.Settings(rawValue: value["settings"]?.string ?? "none") else {
      throw fields.failure("'settings' is gguf, json or none")
    }
    return RecipeLayout(
      name: try fields.text("layout"),
      settings: settings,
      marks: value["marks"]?.object ?? [:]
    )
  }

  func sizes() throws(RecipeError) -> [RecipeSize] {
    var sizes: [RecipeSize] = []
    for (name, value) in (json["sizes"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
      if let meaning = value.string {
        sizes.append(RecipeSize(name: name, meaning: meaning, keys: [[], []], fallback: nil))
        continue
      }
      let fields = RecipeFields(value, place: "\(place): sizes.\(name)")
      try fields.check(["meaning", "left", "right", "default"])
      sizes.append(
        RecipeSize(
          name: name,
          meaning: try fields.text("meaning"),
          keys: ["left", "right"].map { fields.texts($0) },
          fallback: try value["default"].map { (json) throws(RecipeError) in
            try SizeExpression(json)
          }
        )
      )
    }
    return sizes
  }

  func counts() throws(RecipeError) -> [String: [String]] {
    var counts: [String: [String]] = [:]
    for (name, value) in json["counts"]?.object ?? [:] {
      let texts = value.array?.compactMap(\.string) ?? []
      guard texts.count == 2 else { throw failure("counts.\(name) is a list of two templates") }
      counts[name] = texts
    }
    return counts
  }

  /// One text or a list of texts.
  func texts(_ key: String) -> [String] {
    json[key]?.string.map { [$0] } ?? json[key]?.array?.compactMap(\.string) ?? []
  }

  func definition() throws(RecipeError) -> RecipeRule.Definition {
    try check([
      "left", "right", "shape", "shapes", "operations", "optional", "group", "keep", "type", "note",
      "gather", "fallback",
    ])
    let names = [texts("left"), texts("right")]
    guard names.allSatisfy({ !$0.isEmpty }) else { throw failure("'left' or 'right' is missing") }
    var definition = RecipeRule.Definition(names: names)
    do {
      if let shape = json["shape"]?.array {
        definition.shapes = [try RecipeFields.shape(shape)]
      } else if let shapes = json["shapes"]?.array {
        var all: [[SizeExpression]] = []
        for shape in shapes { all.append(try RecipeFields.shape(shape.array ?? [])) }
        definition.shapes = all
      }
      for operation in json["operations"]?.array ?? [] {
        definition.operations.append(try RecipeOperation(operation))
      }
    } catch {
      throw error.at(place)
    }
    definition.isOptional = json["optional"]?.bool ?? false
    definition.group = json["group"]?.string ?? ""
    definition.gather = json["gather"]?.string
    definition.isFallback = json["fallback"]?.bool ?? false
    definition.isKept = json["keep"]?.bool ?? false
    definition.types = try ["left", "right"].map { (side) throws(RecipeError) in
      guard let text = json["type"]?[side]?.string else { return nil }
      guard let type = ElementType(rawValue: text), type.isCastTarget else {
        throw failure("'\(text)' is no type: F64, F32, F16 or BF16")
      }
      return type
    }
    return definition
  }

  private static func shape(_ extents: [JSONValue]) throws(RecipeError) -> [SizeExpression] {
    var shape: [SizeExpression] = []
    for extent in extents { shape.append(try SizeExpression(extent)) }
    return shape
  }

  private func side() throws(RecipeError) -> Int {
    switch json["side"]?.string {
    case "left": return 0
    case "right": return 1
    default: throw failure("'side' is left or right")
    }
  }

  func drop() throws(RecipeError) -> RecipeDrop {
    try check(["side", "name", "reason"])
    let template = try NameTemplate(parsing: try text("name"))
    return RecipeDrop(side: try side(), template: template, reason: try text("reason"))
  }

  func constant() throws(RecipeError) -> RecipeConstant {
    try check(["side", "name", "shape", "type", "value", "reason"])
    guard let value = json["value"]?.number, value == 0 || value == 1 else {
      throw failure("'value' is 0 or 1")
    }
    guard let type = ElementType(rawValue: json["type"]?.string ?? "F32") else {
      throw failure("'type' is no type")
    }
    return RecipeConstant(
      side: try side(),
      template: try NameTemplate(parsing: try text("name")),
      shape: try RecipeFields.shape(json["shape"]?.array ?? []),
      type: type,
      value: value == 0 ? .zero : .one,
      reason: try text("reason")
    )
  }

  func tie() throws(RecipeError) -> RecipeTie {
    try check(["left", "right"])
    var sides: [RecipeTie.Side] = []
    for key in ["left", "right"] {
      let fields = RecipeFields(json[key] ?? .null, place: "\(place).\(key)")
      try fields.check(["name", "of", "copy"])
      sides.append(
        RecipeTie.Side(
          name: try fields.text("name"),
          of: try fields.text("of"),
          isCopied: fields.json["copy"]?.bool ?? false
        )
      )
    }
    return RecipeTie(sides: sides)
  }

  func key() throws(RecipeError) -> RecipeKey {
    try check(["left", "right", "type", "size", "value", "tied"])
    guard let type = RecipeKeyType(rawValue: json["type"]?.string ?? "u32") else {
      throw failure("'type' is u32, i32, f32, bool, string or strings")
    }
    return RecipeKey(
      names: [json["left"]?.string, json["right"]?.string],
      type: type,
      size: try json["size"].map { (json) throws(RecipeError) in try SizeExpression(json) },
      value: json["value"],
      isTied: json["tied"]?.bool ?? false
    )
  }
}
