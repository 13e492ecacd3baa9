import TesseraCore

/// What a run reports.
package struct QuantizeSummary: Encodable {
  let quantizer: QuantizerSpecification
  /// The number that every code is below.
  let vocabulary: Int
  let positions: Int
  /// The codes of one position.
  let codesPerPosition: Int
  /// The number of different codes; nil with `--inverse`, where a position has several codes, and where the
  /// vocabulary has over 2^27.
  let used: Int?
  /// `used` as a share of the vocabulary.
  let usage: Double?
  /// `used` for each of a position's codes, where there are several.
  let usedByPlace: [Int?]?
  /// The smallest margin; nil with `--inverse`, without positions, and where there is one code.
  let minMargin: Float?
  /// What margins are differences of.
  let marginUnit: String?
  let dtype: String
  let shape: [Int]

  private enum CodingKeys: String, CodingKey {
    case quantizer, vocabulary, positions, used, usage, dtype, shape
    case codesPerPosition = "codes_per_position"
    case usedByPlace = "used_by_place"
    case minMargin = "min_margin"
    case marginUnit = "margin_unit"
  }

  init(
    quantizer: QuantizerSpecification,
    vocabularies: [Int],
    positions: Int,
    used: [Int?]?,
    minMargin: Float?,
    marginUnit: String?,
    dtype: String,
    shape: [Int]
  ) {
    self.quantizer = quantizer
    let vocabulary = vocabularies.max() ?? 0
    (self.vocabulary, self.positions) = (vocabulary, positions)
    codesPerPosition = vocabularies.count
    self.used = vocabularies.count == 1 ? used?[0] : nil
    usage = self.used.map { Double($0) / Double(vocabulary) }
    usedByPlace = vocabularies.count == 1 ? nil : used
    (self.minMargin, self.marginUnit, self.dtype) = (minMargin, marginUnit, dtype)
    self.shape = shape
  }

  /// The summary for a reader.
  package var line: String {
    var text = "quantize: \(positions) positions, vocabulary \(vocabulary)"
    if let used, let usage { text += ", \(used) used (\((usage * 100).rounded(places: 1))%)" }
    if let usedByPlace {
      let counts = usedByPlace.map { $0.map(String.init) ?? "?" }
      text += ", used \(counts.joined(separator: " "))"
    }
    if let minMargin, let marginUnit {
      text += ", smallest margin \(minMargin) (\(marginUnit))"
    }
    return text + "; wrote \(dtype) \(shape)"
  }
}
