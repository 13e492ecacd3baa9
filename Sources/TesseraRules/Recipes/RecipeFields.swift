import TesseraCheckpoints
import TesseraCore

/// An object of a recipe's JSON that is being read.
struct RecipeFields {
  let json: JSONValue
  let place: String

  init(_ json: JSONValue, place: String) {
    (self.json, self.place) = (json, place)
  }

  func failure(_ cause: String) -> TesseraError { TesseraError.malformed(cause, place: place) }

  /// Refuses fields that nothing reads.
  func check(_ known: [String]) throws(TesseraError) {
    guard let object = json.object else { throw failure("is no object") }
    if let complaint = KnownFields.complaint(object.keys, known: known) { throw failure(complaint) }
  }

  func text(_ key: String) throws(TesseraError) -> String {
    guard let text = json[key]?.string else { throw failure("'\(key)' is missing or no text") }
    return text
  }

  func integer(_ key: String) throws(TesseraError) -> Int {
    guard let number = json[key]?.number.flatMap({ Int(exactly: $0) }) else {
      throw failure("'\(key)' is missing or no whole number")
    }
    return number
  }

  func objects(_ key: String) throws(TesseraError) -> [RecipeFields] {
    try list(key)?.enumerated().map { RecipeFields($1, place: "\(place): \(key)[\($0)]") } ?? []
  }

  /// The elements of a list; nil where the field is missing.
  func list(_ key: String) throws(TesseraError) -> [JSONValue]? {
    guard let value = json[key] else { return nil }
    guard let array = value.array else { throw failure("'\(key)' is no list") }
    return array
  }

  /// The members of an object; none where the field is missing.
  func members(_ key: String) throws(TesseraError) -> [String: JSONValue] {
    guard let value = json[key] else { return [:] }
    guard let object = value.object else { throw failure("'\(key)' is no object") }
    return object
  }

  /// A text; nil where the field is missing.
  func optionalText(_ key: String) throws(TesseraError) -> String? {
    json[key] == nil ? nil : try text(key)
  }

  /// Whether a field is true; false where it is missing.
  func flag(_ key: String) throws(TesseraError) -> Bool {
    guard let value = json[key] else { return false }
    guard let flag = value.bool else { throw failure("'\(key)' is neither true nor false") }
    return flag
  }

  func layout(_ key: String) throws(TesseraError) -> RecipeLayout {
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

  func sizes() throws(TesseraError) -> [RecipeSize] {
    var sizes: [RecipeSize] = []
    for (name, value) in try members("sizes").sorted(by: { $0.key < $1.key }) {
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
          keys: [try fields.texts("left"), try fields.texts("right")],
          fallback: try value["default"].map { (json) throws(TesseraError) in
            try SizeExpression(json)
          }
        )
      )
    }
    return sizes
  }

  func rotary() throws(TesseraError) -> RecipeRotary? {
    guard let value = json["rotary"] else { return nil }
    let fields = RecipeFields(value, place: "\(place): rotary")
    try fields.check(["architecture", "width"])
    return RecipeRotary(
      architecture: try fields.text("architecture"),
      width: try SizeExpression(value["width"] ?? .null)
    )
  }

  func counts() throws(TesseraError) -> [String: [String]] {
    var counts: [String: [String]] = [:]
    for (name, value) in try members("counts") {
      let texts = value.array?.compactMap(\.string) ?? []
      guard texts.count == 2 else { throw failure("counts.\(name) is a list of two templates") }
      counts[name] = texts
    }
    return counts
  }

  /// One text or a list of texts; none where the field is missing.
  func texts(_ key: String) throws(TesseraError) -> [String] {
    if let text = json[key]?.string { return [text] }
    let elements = try list(key) ?? []
    let texts = elements.compactMap(\.string)
    guard texts.count == elements.count else { throw failure("'\(key)' holds what is no text") }
    return texts
  }

  func definition() throws(TesseraError) -> RecipeRule.Definition {
    try check([
      "left", "right", "shape", "shapes", "operations", "optional", "group", "keep", "type", "note",
      "gather", "fallback",
    ])
    let names = [try texts("left"), try texts("right")]
    guard names.allSatisfy({ !$0.isEmpty }) else { throw failure("'left' or 'right' is missing") }
    var definition = RecipeRule.Definition(names: names)
    do {
      definition.shapes = try shapes()
      for operation in try list("operations") ?? [] {
        definition.operations.append(try RecipeOperation(operation))
      }
    } catch {
      throw error.at(place)
    }
    definition.isOptional = try flag("optional")
    definition.group = try optionalText("group") ?? ""
    definition.gather = try optionalText("gather")
    definition.isFallback = try flag("fallback")
    definition.isKept = try flag("keep")
    definition.types = try types()
    return definition
  }

  /// The types that a rule fixes on the left and on the right.
  private func types() throws(TesseraError) -> [ElementType?] {
    let fields = RecipeFields(.object(try members("type")), place: "\(place): type")
    try fields.check(["left", "right"])
    var types: [ElementType?] = []
    for side in ["left", "right"] {
      guard let text = try fields.optionalText(side) else {
        types.append(nil)
        continue
      }
      guard let type = ElementType(rawValue: text), type.isCastTarget else {
        throw failure("'\(text)' is no type: F64, F32, F16 or BF16")
      }
      types.append(type)
    }
    return types
  }

  /// The shapes on the left: one as `shape`, several as `shapes`.
  private func shapes() throws(TesseraError) -> [[SizeExpression]]? {
    if let shape = try list("shape") { return [try RecipeFields.shape(shape)] }
    guard let lists = try list("shapes") else { return nil }
    var shapes: [[SizeExpression]] = []
    for element in lists {
      guard let extents = element.array else { throw failure("'shapes' is a list of lists") }
      shapes.append(try RecipeFields.shape(extents))
    }
    return shapes
  }

  private static func shape(_ extents: [JSONValue]) throws(TesseraError) -> [SizeExpression] {
    var shape: [SizeExpression] = []
    for extent in extents { shape.append(try SizeExpression(extent)) }
    return shape
  }

  private func side() throws(TesseraError) -> Int {
    switch json["side"]?.string {
    case "left": return 0
    case "right": return 1
    default: throw failure("'side' is left or right")
    }
  }

  func drop() throws(TesseraError) -> RecipeDrop {
    try check(["side", "name", "reason"])
    let template = try NameTemplate(parsing: try text("name"))
    return RecipeDrop(side: try side(), template: template, reason: try text("reason"))
  }

  private static let integers: Set<ElementType> = [
    .bool, .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64,
  ]

  func constant() throws(TesseraError) -> RecipeConstant {
    try check(["side", "name", "shape", "type", "value", "reason"])
    guard let value = json["value"]?.number, value == 0 || value == 1 else {
      throw failure("'value' is 0 or 1")
    }
    guard let type = ElementType(rawValue: try optionalText("type") ?? "F32"),
      type.isCastTarget || RecipeFields.integers.contains(type)
    else { throw failure("'type' is none of F64, F32, F16, BF16, BOOL and whole numbers") }
    return RecipeConstant(
      side: try side(),
      template: try NameTemplate(parsing: try text("name")),
      shape: try RecipeFields.shape(try list("shape") ?? []),
      type: type,
      value: value == 0 ? .zero : .one,
      reason: try text("reason")
    )
  }

  func tie() throws(TesseraError) -> RecipeTie {
    try check(["left", "right"])
    var sides: [RecipeTie.Side] = []
    for key in ["left", "right"] {
      let fields = RecipeFields(json[key] ?? .null, place: "\(place).\(key)")
      try fields.check(["name", "of", "copy"])
      sides.append(
        RecipeTie.Side(
          name: try fields.text("name"),
          of: try fields.text("of"),
          isCopied: try fields.flag("copy")
        )
      )
    }
    return RecipeTie(sides: sides)
  }

  func key() throws(TesseraError) -> RecipeKey {
    try check(["left", "right", "type", "size", "value", "tied", "holds", "layers"])
    guard let type = RecipeKeyType(rawValue: json["type"]?.string ?? "u32") else {
      throw failure("'type' is u32, i32, f32, bool, string or strings")
    }
    return RecipeKey(
      names: [json["left"]?.string, json["right"]?.string],
      type: type,
      size: try json["size"].map { (json) throws(TesseraError) in try SizeExpression(json) },
      value: json["value"],
      isTied: try flag("tied"),
      holds: try holds(),
      layers: try layers()
    )
  }

  /// The tensors whose presence is a setting's value: one name for both sides, or one each.
  private func holds() throws(TesseraError) -> [NameTemplate] {
    let names = try texts("holds")
    guard names.count <= 2 else { throw failure("'holds' is one template, or left and right") }
    var templates: [NameTemplate] = []
    for name in names.count == 1 ? names + names : names {
      templates.append(try NameTemplate(parsing: name))
    }
    return templates
  }

  private func layers() throws(TesseraError) -> [NameTemplate: String] {
    var layers: [NameTemplate: String] = [:]
    for (name, value) in try members("layers") {
      let template = try NameTemplate(parsing: name)
      guard let text = value.string, template.kinds.values.elementsEqual([.integer]) else {
        throw failure("'layers' has a text for each template with one {…:int}")
      }
      layers[template] = text
    }
    return layers
  }
}
