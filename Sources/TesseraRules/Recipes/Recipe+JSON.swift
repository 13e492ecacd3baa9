import TesseraCheckpoints
package import TesseraCore

extension Recipe {
  /// Reads a recipe from the text of its file.
  ///
  /// - Parameters:
  ///   - text: JSON as `schemas/recipe.schema.json` states it.
  ///   - file: What messages call it.
  /// - Throws: `TesseraError` where it is no recipe, with the rule and the cause.
  package init(parsing text: String, file: String) throws(TesseraError) {
    let json: JSONValue
    do {
      json = try JSONValue(parsing: text)
    } catch {
      throw TesseraError.malformed("is no JSON", place: file)
    }
    let fields = RecipeFields(json, place: file)
    try fields.check([
      "$schema", "name", "version", "title", "family", "left", "right", "sizes", "counts", "rules",
      "drop", "constants", "ties", "config", "rotary", "notes",
    ])
    var definitions: [RecipeRule.Definition] = []
    for rule in try fields.objects("rules") { definitions.append(try rule.definition()) }
    guard !definitions.isEmpty else { throw TesseraError.malformed("has no rules", place: file) }
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
      notes: try fields.texts("notes"),
      definitions: definitions,
      drops: drops,
      constants: constants,
      ties: ties,
      counts: try fields.counts(),
      keys: keys,
      rotary: try fields.rotary()
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
    if let rotary { object["rotary"] = rotary.json }
    if !notes.isEmpty { object["notes"] = .array(notes.map(JSONValue.string)) }
    return .object(object)
  }
}
