public import TesseraCore

/// The position ids of one document, or of several in one pack.
public struct PositionIds: Hashable, Sendable {
  /// The axes' names, outermost first.
  public let axes: [String]
  /// The ids: int32, or float32 where the scheme has fractions; [axes, tokens].
  public let tensor: Tensor
  /// The position of the text token that would come next; in a pack, behind its last document.
  public let next: Int
  /// `next` minus the number of tokens: what generation adds to a token's index to get its position;
  /// in a pack, of its last document.
  public let delta: Int
  /// The number of tokens of each document.
  public let documents: [Int]

  /// The name of the axis that counts the tokens of each document from 0.
  public static let textAxis = "text"

  /// The number of tokens.
  public var tokens: Int { tensor.shape[1] }

  /// The ids of one axis as numbers, exactly.
  public func ids(axis: Int) -> [Double] {
    let range = axis * tokens..<(axis + 1) * tokens
    if let integers = tensor.elements(as: Int32.self) { return integers[range].map(Double.init) }
    return (tensor.elements(as: Float.self) ?? [])[range].map(Double.init)
  }
}
