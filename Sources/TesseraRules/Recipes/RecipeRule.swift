import TesseraCheckpoints
import TesseraCore

/// One rule: tensors of the left, tensors of the right, and what makes the one of the other.
struct RecipeRule: Hashable, Sendable {
  /// A rule as a recipe states it, with alternatives.
  struct Definition: Hashable, Sendable {
    /// The names on the left and on the right.
    var names: [[String]]
    /// The shapes on the left, one per name; nil where any will do.
    var shapes: [[SizeExpression]]?
    var operations: [RecipeOperation] = []
    /// Whether the tensors may be absent.
    var isOptional = false
    /// Rules of one group are all there for a layer, or none of them.
    var group = ""
    /// A placeholder of one side alone: the tensors for its values are stacked, in order, to one
    /// tensor of the other side.
    var gather: String?
    /// Whether the rule applies to what no other rule names.
    var isFallback = false
    /// Whether `--dtype` leaves the tensors alone.
    var isKept = false
    /// The types that the tensors have on the left and on the right, whatever they were.
    var types: [ElementType?] = [nil, nil]

    /// The rule from right to left.
    func inverted() throws(TesseraError) -> Definition {
      var inverted = self
      let isStacked = isGathering
      let stacked = isStacked ? shapes?.map { [.name(gather ?? "")] + $0 } : shapes
      var (operations, shapes) = try RecipeOperation.inverse(of: operations, on: stacked)
      if gather != nil, !isStacked { shapes = shapes?.map { Array($0.dropFirst()) } }
      inverted.names = names.reversed()
      inverted.types = types.reversed()
      inverted.operations = operations
      inverted.shapes = shapes
      return inverted
    }

    /// Whether the left holds the parts of what the right holds stacked.
    var isGathering: Bool {
      guard let gather else { return false }
      return names[0].contains { $0.contains("{\(gather):") || $0.contains("{\(gather)}") }
    }

    /// A rule for each combination of alternatives.
    func rules() throws(TesseraError) -> [RecipeRule] {
      var rules: [RecipeRule] = []
      do throws(TesseraError) {
        for texts in try NameTemplate.alternatives(of: names) {
          var typed: [String: NameTemplate.Kind] = [:]
          for text in texts.joined() {
            typed.merge(try NameTemplate(parsing: text).kinds) { first, _ in first }
          }
          var sides: [[NameTemplate]] = []
          for side in texts {
            var templates: [NameTemplate] = []
            for text in side { templates.append(try NameTemplate(parsing: text, kinds: typed)) }
            sides.append(templates)
          }
          rules.append(RecipeRule(definition: self, sides: sides))
        }
      } catch {
        throw error.at(names.joined().first ?? "")
      }
      guard gather == nil || names.allSatisfy({ $0.count == 1 }) else {
        throw TesseraError.malformed(
          "gather needs one name per side",
          place: names.joined().first ?? ""
        )
      }
      if let shapes, shapes.count != names[0].count {
        let cause = "\(shapes.count) shapes for \(names[0].count) tensors"
        throw TesseraError.malformed(cause, place: names.joined().first ?? "")
      }
      return rules
    }
  }

  let definition: Definition
  /// The templates on the left and on the right.
  let sides: [[NameTemplate]]

  /// What messages call the rule.
  var label: String { sides.joined().first?.text ?? "" }

  /// The placeholders that are numbers, in alphabetical order, without the one that is gathered.
  var integers: [String] {
    var names: Set<String> = []
    for template in sides.joined() {
      for (name, kind) in template.kinds where kind == .integer { names.insert(name) }
    }
    if let gather = definition.gather { names.remove(gather) }
    return names.sorted()
  }

  /// Whether all placeholders are numbers, so that it is known which names there must be.
  var isCountable: Bool {
    sides.joined().allSatisfy { $0.kinds.values.allSatisfy { $0 == .integer } }
  }
}
