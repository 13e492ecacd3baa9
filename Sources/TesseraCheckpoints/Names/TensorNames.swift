/// The names of a checkpoint's tensors, asked for the parts of a network that stand before their dots.
package struct TensorNames: Sendable {
  /// More parts of a kind than any network has: names are anybody's.
  private static let most = 256

  private var parts: Set<String> = []
  private var counts: [String: Int] = [:]

  /// Notes every part of every name.
  package init(_ names: some Sequence<String>) {
    for name in names {
      var part = ""
      for piece in name.split(separator: ".", omittingEmptySubsequences: false) {
        if let number = Int(piece), (0..<Self.most).contains(number) {
          counts[part] = max(counts[part] ?? 0, number + 1)
        }
        part = part.isEmpty ? String(piece) : "\(part).\(piece)"
        parts.insert(part)
      }
    }
  }

  /// Whether there is a tensor of that name, or one whose name goes on after a dot.
  package func has(_ part: String) -> Bool { parts.contains(part) }

  /// How many parts `part.0`, `part.1` and so on there are: one more than the last, so that what is missing
  /// in between is missed.
  package func count(_ part: String) -> Int { counts[part] ?? 0 }
}
