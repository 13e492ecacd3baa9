extension PositionIds {
  /// The ids as JSON, one line per axis.
  package func json(scheme: PositionScheme.Name) -> String {
    func list(_ items: [String]) -> String { "[" + items.joined(separator: ", ") + "]" }
    let rows = axes.indices.map { axis in
      list(ids(axis: axis).map(Self.number))
    }
    return """
      {
        "scheme": "\(scheme.rawValue)",
        "axes": \(list(axes.map { "\"\($0)\"" })),
        "documents": \(list(documents.map(String.init))),
        "ids": [
          \(rows.joined(separator: ",\n    "))
        ],
        "next": \(next),
        "delta": \(delta)
      }

      """
  }

  /// Whole numbers without a point; fractions with as many digits as float32 needs.
  private static func number(_ id: Double) -> String {
    Int(exactly: id).map(String.init) ?? "\(Float(id))"
  }
}
