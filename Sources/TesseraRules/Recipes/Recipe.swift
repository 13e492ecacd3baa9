import TesseraCheckpoints
package import TesseraCore

/// A file of rules between two layouts of one model, which work both ways.
///
/// `schemas/recipe.schema.json` states the JSON. A recipe applies from left to right; `inverted()`
/// gives the recipe from right to left.
package struct Recipe: Hashable, Sendable {
  /// The name, such as `mamba.hf-gguf`.
  package let name: String
  /// Grows where results change.
  package let version: Int
  /// What it is for, in a line.
  package let title: String
  /// The models whose layouts these are; recipes of a family follow one another.
  package let family: String
  /// The layout it starts from, and the one it gives.
  package let left: RecipeLayout
  /// The layout it gives.
  package let right: RecipeLayout
  /// The sizes that all rules share.
  package let sizes: [RecipeSize]
  /// What the user should know, a sentence each.
  package let notes: [String]
  let definitions: [RecipeRule.Definition]
  let drops: [RecipeDrop]
  let constants: [RecipeConstant]
  let ties: [RecipeTie]
  let counts: [String: [String]]
  let keys: [RecipeKey]
  let rotary: RecipeRotary?
  /// The definitions with a rule for each alternative.
  let rules: [RecipeRule]
  let countTemplates: [String: [NameTemplate]]

  /// Name and version, as results record them.
  package var identifier: String { "\(name)/\(version)" }

  /// The number of rules, alternatives counted.
  package var ruleCount: Int { rules.count }

  /// The same rules from right to left.
  ///
  /// - Returns: A recipe whose name says the other direction.
  /// - Throws: `TesseraError` where an operation cannot be undone without a shape.
  package func inverted() throws(TesseraError) -> Recipe {
    var flipped: [RecipeRule.Definition] = []
    for definition in definitions {
      do {
        flipped.append(try definition.inverted())
      } catch {
        throw error.at(definition.names[0].first ?? definition.names[1].first ?? "")
      }
    }
    return try Recipe(
      name: RecipeName.inverted(name, left.name, right.name),
      version: version,
      title: title,
      family: family,
      layouts: [right, left],
      sizes: sizes.map(\.inverted),
      notes: notes,
      definitions: flipped,
      drops: drops.map(\.inverted),
      constants: constants.map(\.inverted),
      ties: ties.map(\.inverted),
      counts: counts.mapValues { $0.reversed() },
      keys: keys.map(\.inverted),
      rotary: rotary
    )
  }

  init(
    name: String,
    version: Int,
    title: String,
    family: String,
    layouts: [RecipeLayout],
    sizes: [RecipeSize],
    notes: [String],
    definitions: [RecipeRule.Definition],
    drops: [RecipeDrop],
    constants: [RecipeConstant],
    ties: [RecipeTie],
    counts: [String: [String]],
    keys: [RecipeKey],
    rotary: RecipeRotary? = nil
  ) throws(TesseraError) {
    (self.name, self.version, self.title, self.family) = (name, version, title, family)
    left = layouts[0]
    right = layouts[1]
    (self.sizes, self.notes, self.definitions, self.drops) = (sizes, notes, definitions, drops)
    (self.constants, self.ties, self.counts, self.keys) = (constants, ties, counts, keys)
    self.rotary = rotary
    do throws(TesseraError) {
      var rules: [RecipeRule] = []
      for definition in definitions { rules += try definition.rules() }
      self.rules =
        rules.filter { !$0.definition.isFallback } + rules.filter(\.definition.isFallback)
      var templates: [String: [NameTemplate]] = [:]
      for (name, texts) in counts {
        for text in texts { templates[name, default: []].append(try NameTemplate(parsing: text)) }
      }
      countTemplates = templates
    } catch {
      throw error.inRecipe(name)
    }
    try check()
  }

  /// Refuses rules of which two would match one name, and placeholders that one side lacks.
  private func check() throws(TesseraError) {
    guard rules.count <= 2048 else {
      let cause = "has \(rules.count) rules, alternatives counted, and 2048 is the most"
      throw TesseraError.malformed(cause).inRecipe(name)
    }
    for side in 0...1 {
      let templates = rules.filter { !$0.definition.isFallback }.flatMap { $0.sides[side] }
      for (index, template) in templates.enumerated() {
        for other in templates[(index + 1)...]
        where template.match(other.example) != nil || other.match(template.example) != nil {
          let cause = "matches the same names as '\(other.text)'"
          throw TesseraError.malformed(cause, place: template.text).inRecipe(name)
        }
      }
    }
    let declared = Set(sizes.map(\.name)).union(counts.keys)
    for rule in rules {
      let bound = rule.sides.map { side in
        side.reduce(into: Set<String>()) { $0.formUnion($1.placeholders) }
          .subtracting(declared).subtracting([rule.definition.gather ?? ""])
      }
      guard bound[0] == bound[1] else {
        let cause = "the two sides have different placeholders"
        throw TesseraError.malformed(cause, place: rule.label).inRecipe(name)
      }
    }
    guard left.name != right.name else {
      throw TesseraError.malformed("both sides are named '\(left.name)'").inRecipe(name)
    }
  }
}

/// One of a recipe's two layouts.
package struct RecipeLayout: Hashable, Sendable {
  /// The settings that stand beside the tensors.
  package enum Settings: String, Hashable, Sendable {
    /// The keys of a GGUF file.
    case gguf
    /// A `config.json` in the same folder.
    case json
    /// None.
    case none
  }

  /// The name, such as `hf`.
  package let name: String
  /// Where its settings are.
  package let settings: Settings
  /// Settings that only models of this family have there, such as `model_type`.
  let marks: [String: JSONValue]
}

/// A size that all rules of a recipe share.
package struct RecipeSize: Hashable, Sendable {
  /// The name in the rules' shapes.
  package let name: String
  /// What it is.
  package let meaning: String
  /// The settings that state it where no shape does: of the left side, and of the right one.
  let keys: [[String]]
  /// What it is where nothing states it.
  let fallback: SizeExpression?

  var inverted: RecipeSize {
    RecipeSize(name: name, meaning: meaning, keys: keys.reversed(), fallback: fallback)
  }
}

/// Tensors of one side that the other does not hold.
struct RecipeDrop: Hashable, Sendable {
  let side: Int
  let template: NameTemplate
  let reason: String

  var inverted: RecipeDrop { RecipeDrop(side: 1 - side, template: template, reason: reason) }
}

/// A tensor of one side whose elements all have one value, and which the other does not hold.
struct RecipeConstant: Hashable, Sendable {
  let side: Int
  let template: NameTemplate
  let shape: [SizeExpression]
  let type: ElementType
  let value: ImpliedTensor.Value
  let reason: String

  var inverted: RecipeConstant {
    RecipeConstant(
      side: 1 - side,
      template: template,
      shape: shape,
      type: type,
      value: value,
      reason: reason
    )
  }
}

/// A tensor that may be the same as another one, and what each side does then.
struct RecipeTie: Hashable, Sendable {
  /// One side of a tie.
  struct Side: Hashable, Sendable {
    /// The tensor that repeats another.
    let name: String
    /// The other one.
    let of: String
    /// Whether the layout holds it all the same.
    let isCopied: Bool
  }

  /// Left and right.
  let sides: [Side]

  var inverted: RecipeTie { RecipeTie(sides: sides.reversed()) }
}

/// A setting of the two sides.
struct RecipeKey: Hashable, Sendable {
  /// The key on the left and on the right; nil where a side has none.
  let names: [String?]
  /// The type in a GGUF file.
  let type: RecipeKeyType
  /// The value that the tensors' shapes give.
  let size: SizeExpression?
  /// The value where the source states none, or for a side that always has the same.
  let value: JSONValue?
  /// Whether the value is that the recipe's first tie holds.
  let isTied: Bool
  /// Tensors of the left and of the right: the value is whether there are such; empty where it is something else.
  let holds: [NameTemplate]
  /// What a layer is called that has a tensor: the value is the list of all layers; of the side that has the key.
  let layers: [NameTemplate: String]

  var inverted: RecipeKey {
    RecipeKey(
      names: names.reversed(),
      type: type,
      size: size,
      value: value,
      isTied: isTied,
      holds: holds.reversed(),
      layers: layers
    )
  }
}

/// The types of settings.
enum RecipeKeyType: String, Hashable, Sendable {
  case uint32 = "u32"
  case int32 = "i32"
  case float32 = "f32"
  case bool = "bool"
  case string = "string"
  case strings = "strings"
}

enum RecipeName {
  /// `mamba.hf-gguf` is `mamba.gguf-hf` the other way.
  static func inverted(_ name: String, _ left: String, _ right: String) -> String {
    let ending = "\(left)-\(right)"
    if name.hasSuffix(ending) { return name.dropLast(ending.count) + "\(right)-\(left)" }
    return name.hasSuffix(".inverse") ? String(name.dropLast(8)) : "\(name).inverse"
  }
}
