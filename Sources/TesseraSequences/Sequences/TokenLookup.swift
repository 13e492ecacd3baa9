import TesseraCore

/// Names of tokens to ids.
struct TokenLookup {
  let layout: String
  let tokenizer: TextTokenizer?
  /// Ids of a model's configuration, which count first.
  let map: VocabularyMap?

  func ids(_ tokens: [SequenceLayout.Token]) throws(TesseraError) -> [Int32] {
    var ids: [Int32] = []
    for token in tokens { ids.append(try id(token)) }
    return ids
  }

  func id(_ token: SequenceLayout.Token) throws(TesseraError) -> Int32 {
    switch token {
    case .id(let id):
      guard id >= 0, let id = Int32(exactly: id) else {
        throw TesseraError.limit("\(layout): an id of \(id) is beyond int32")
      }
      return id
    case .name(let name):
      guard tokenizer != nil || map != nil else {
        throw TesseraError.mismatch("\(layout) names the token '\(name)': name a --text-tokenizer")
      }
      let (own, other) = (map?.ids[name], tokenizer?.id(of: name).map { Int32($0) })
      guard let id = own ?? other else {
        let place = tokenizer == nil ? "the vocabulary map" : "the text tokenizer"
        throw TesseraError.mismatch(
          "\(layout): \(place) has no token '\(name)'; take the model's own tokenizer, or "
            + "a layout file with other tokens"
        )
      }
      guard other ?? id == id else {
        throw TesseraError.mismatch(
          "\(layout): '\(name)' is \(id) in the vocabulary map and \(other ?? id) in the text "
            + "tokenizer; take both of one model"
        )
      }
      return id
    }
  }

  /// The ids of the codes that are named by numbers.
  func numberedTokens(
    prefix: String,
    suffix: String,
    letters: Bool
  ) throws(TesseraError) -> [Int: Int32] {
    if let map {
      let names = NumberedNames(prefix: prefix, suffix: suffix, letters: letters)
      return map.numberedTokens(names)
    }
    guard let tokenizer else {
      throw TesseraError.mismatch(
        "\(layout) names its codes: name a --text-tokenizer, or a --vocabulary-map"
      )
    }
    return tokenizer.numberedTokens(prefix: prefix, suffix: suffix, letters: letters)
  }
}
