import Tensors

/// One rule: tensors of the left, tensors of the right, and what makes the one of the other.
struct RecipeRule: Hashable, Sendable {
  /// A rule as a recipe states it, with alternatives.
  struct Definition: Hashable, Sendable {
    /// The names on the left and on the right.
    var names: [[String]]
    /// The shapes on the left, one a name; nil where any will do.
    var shapes: [[SizeExpression]]?
    var operations: [RecipeOperation] = []
    /// Whether the tensors may be absent.
    var isOptional = false
    /// Rules of one group are all there for a layer, or none of them.
    var group = ""
    /// Whether `--dtype` leaves the tensors alone.
    var isKept = false
    /// The types that the tensors have on the left and on the right, whatever they were.
    var types: [ElementType?] = [nil, nil]

    /// The rule from right to left.
    func inverted() throws(RecipeError) -> Definition {
      var inverted = self
      let (operations, shapes) = try RecipeOperation.inverse(of: operations, on: shapes)
      inverted.names = names.reversed()
      inverted.types = types.reversed()
      inverted.operations = operations
      inverted.shapes = shapes
      return inverted
    }

    /// A rule for each combination of alternatives.
    func rules() throws(RecipeError) -> [RecipeRule] {
      var rules: [RecipeRule] = []
      do throws(RecipeError) {
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
      if let shapes, shapes.count != names[0].count {
        let cause = "\(shapes.count) shapes for \(names[0].count) tensors"
        throw RecipeError(cause, place: names.joined().first ?? "")
      }
      return rules
    }
  }

  let definition: Definition
  /// The templates on the left and on the right.
  let sides: [[NameTemplate]]

  /// What messages call the rule.
  var label: String { sides.joined().first?.text ?? "" }

  /// The placeholders that are numbers, in alphabetical order.
  var integers: [String] {
    var names: Set<String> = []
    for template in sides.joined() {
      for (name, kind) in template.kinds where kind == .integer { names.insert(name) }
    }
    return names.sorted()
  }

  /// Whether all placeholders are numbers, so that it is known which names there must be.
  var isCountable: Bool {
    sides.joined().allSatisfy { $0.kinds.values.allSatisfy { $0 == .integer } }
  }
}
