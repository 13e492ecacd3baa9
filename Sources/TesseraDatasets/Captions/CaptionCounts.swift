/// What became of the captions of a plan.
package struct CaptionCounts: Encodable, Hashable, Sendable {
  /// Captions that no image has.
  struct Unused: Hashable, Sendable {
    let count: Int
    /// What they are, in words.
    let name: String
  }

  /// Images with a caption.
  package internal(set) var matched = 0
  /// Images whose caption is there, and empty.
  package internal(set) var empty = 0
  /// Images without one.
  package internal(set) var missing = 0
  /// Images that are refused for what is wrong with theirs.
  package internal(set) var refused = 0
  /// Captions of no image; nil where nobody can know.
  var unused: Unused?
  /// The first image without one.
  var bare: String?

  enum CodingKeys: CodingKey { case matched, empty, missing, refused, unused }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(matched, forKey: .matched)
    try container.encode(empty, forKey: .empty)
    try container.encode(missing, forKey: .missing)
    try container.encode(refused, forKey: .refused)
    try container.encodeIfPresent(unused?.count, forKey: .unused)
  }

  /// One line for the reader at the terminal.
  package var text: String {
    var text = "captions: \(matched) matched, \(empty) empty, \(missing) images without one"
    if refused > 0 { text += ", \(refused) refused" }
    if let unused { text += "; \(unused.count) \(unused.name) of no image" }
    return text
  }

  /// What is left over, in words; nil where every image has a caption and every caption an image.
  package var leftOver: String? {
    var parts: [String] = []
    if missing > 0 { parts.append("\(missing) images have no caption, the first \(bare ?? "")") }
    if let unused, unused.count > 0 {
      parts.append("\(unused.count) \(unused.name) are of no image")
    }
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }
}
