import TesseraCheckpoints
package import TesseraCore

extension Recipe {
  /// A rule as people read it.
  package struct Summary: Hashable, Sendable {
    /// The names on the left, joined by ` + `.
    package let left: String
    /// The names on the right, joined by ` + `.
    package let right: String
    /// The shapes on the left; empty where any will do.
    package let shape: String
    /// The operations, first to last.
    package let operations: String
    /// What it takes to undo them.
    package let reversibility: Reversibility
  }

  /// The rules as people read them.
  package var summaries: [Summary] {
    definitions.map { definition in
      let shapes = (definition.shapes ?? []).map { shape in
        "[\(shape.map(\.description).joined(separator: ", "))]"
      }
      let operations = definition.operations.map { $0.json.spelled ?? $0.json.compact }
      return Summary(
        left: definition.names[0].joined(separator: " + "),
        right: definition.names[1].joined(separator: " + "),
        shape: shapes.joined(separator: " "),
        operations: operations.joined(separator: " "),
        reversibility: definition.operations.map(\.reversibility).max() ?? .exact
      )
    }
  }

  /// Whether a checkpoint is on the right side.
  package func isOnRight(_ input: RecipeInput) -> Bool { side(of: input) == 1 }

  /// The recipe as its file states it, to be encoded.
  package var document: JSONValue { json }
}

extension RecipeOperation {
  /// What it takes to undo the operation.
  var reversibility: Reversibility {
    switch self {
    case .map: .rounding
    case .affine(let scale, let offset): offset == 0 && abs(scale) == 1 ? .exact : .rounding
    case .each(let chains): chains.joined().map(\.reversibility).max() ?? .exact
    default: .exact
    }
  }
}

extension JSONValue {
  /// The value on one line, without quotes where none are needed.
  var compact: String {
    switch self {
    case .array(let elements): "[\(elements.map(\.compact).joined(separator: ","))]"
    case .object(let members):
      members.sorted { $0.key < $1.key }.map { "\($0.key)(\($0.value.compact))" }
        .joined(separator: " ")
    default: spelled ?? "null"
    }
  }
}
