/// What is chosen about captions beyond the place where they stand.
public struct CaptionRules: Sendable, Hashable {
  /// Which of several captions of one image counts.
  public enum Choice: Sendable, Hashable {
    /// The first in the order of the rows, and of a list in a row.
    case first
    /// Any with equal chance, drawn by the seed and the sample's key.
    case random(seed: UInt64)
    /// All in their order, a line feed between two.
    case all
  }

  /// The column or field that holds captions; nil for the first there is of `caption`, `text`, `prompt` and
  /// `description`.
  public var column: String?
  /// What the names of sidecars end in behind the image's, without the first dot; nil for `txt`, `caption` and
  /// `json`.
  public var ending: String?
  /// What stands between the fields of a table; nil for a tab in a .tsv, and for what the header of a .csv says.
  public var delimiter: UInt8?
  /// Which of several captions of one image counts; nil where several are an error.
  public var choice: Choice?

  /// Creates rules in which nothing is chosen.
  public init() {}

  /// The endings of sidecars, best first.
  var endings: [String] { ending.map { [$0] } ?? ["txt", "caption", "json"] }

  /// The names of the columns that hold captions, best first, in lower case.
  var columns: [String] {
    column.map { [$0.lowercased()] } ?? ["caption", "text", "prompt", "description"]
  }
}

/// Why a caption cannot be used.
struct CaptionFault: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
