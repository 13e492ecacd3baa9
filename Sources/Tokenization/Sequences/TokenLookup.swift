internal import Tensors

/// Names of tokens to ids.
struct TokenLookup {
  let layout: String
  let tokenizer: TextTokenizer?

  func ids(_ tokens: [SequenceLayout.Token]) throws(SequenceError) -> [Int32] {
    var ids: [Int32] = []
    for token in tokens { ids.append(try id(token)) }
    return ids
  }

  func id(_ token: SequenceLayout.Token) throws(SequenceError) -> Int32 {
    switch token {
    case .id(let id):
      guard id >= 0, let id = Int32(exactly: id) else {
        throw SequenceError("\(layout): an id of \(id) is beyond int32", kind: .numericLimit)
      }
      return id
    case .name(let name):
      guard let tokenizer else {
        throw SequenceError("\(layout) names the token '\(name)': name a --text-tokenizer")
      }
      guard let id = tokenizer.id(of: name) else {
        throw SequenceError(
          "\(layout): the text tokenizer has no token '\(name)'; take the model's own tokenizer, or "
            + "a layout file with other tokens"
        )
      }
      return Int32(id)
    }
  }
}
