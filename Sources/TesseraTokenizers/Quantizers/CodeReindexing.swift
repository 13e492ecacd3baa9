package import TesseraCore

/// Codes under other numbers: the same choices, counted otherwise.
///
/// Nothing is decided anew.
package struct CodeReindexing: Sendable {
  /// One way of counting otherwise.
  package enum Step: Sendable {
    /// Digits in the reverse order of significance; `levels` by dimension, dimension 0 least significant where
    /// `isLittle`.
    case reversal(levels: [Int], isLittle: Bool)
    /// A number that is added.
    case offset(Int)
    /// The place of a code in a list of the codes in use.
    case compact(CompactMap)
  }

  /// The steps in order.
  package let steps: [Step]
  /// What codes are below before and after: the quantizer's vocabulary and what the steps make of it.
  package let vocabularies: (before: UInt64, after: UInt64)

  /// Plans steps.
  ///
  /// - Throws: `TesseraError` where an offset leaves nothing.
  package init(_ steps: [Step], vocabularySize: Int) throws(TesseraError) {
    var size = vocabularySize
    for step in steps {
      switch step {
      case .reversal: break
      case .offset(let offset):
        let (sum, overflow) = size.addingReportingOverflow(offset)
        guard !overflow, sum > 0, sum <= 1 << 53 else {
          throw .mismatch("offset:\(offset) leaves nothing between 0 and 2^53 of \(size) codes")
        }
        size = sum
      case .compact(let map): size = map.codes.count
      }
    }
    self.steps = steps
    vocabularies = (UInt64(vocabularySize), UInt64(size))
  }

  /// The codes under their new numbers.
  ///
  /// - Throws: `TesseraError` with the first code that has none.
  package func apply(_ codes: [UInt64]) throws(TesseraError) -> [UInt64] {
    var codes = codes
    try check(codes, below: vocabularies.before)
    for step in steps {
      switch step {
      case .reversal(let levels, let isLittle):
        codes = codes.map { Self.reversed($0, levels, isLittle: isLittle) }
      case .offset(let offset): try Self.add(offset, to: &codes)
      case .compact(let map): codes = try map.places(of: codes)
      }
    }
    return codes
  }

  /// The codes that ``apply(_:)`` gives these numbers.
  ///
  /// - Throws: `TesseraError` with the first number that is no code's.
  package func undo(_ numbers: [UInt64]) throws(TesseraError) -> [UInt64] {
    var numbers = numbers
    try check(numbers, below: vocabularies.after)
    for step in steps.reversed() {
      switch step {
      case .reversal(let levels, let isLittle):
        numbers = numbers.map { Self.reversed($0, levels, isLittle: !isLittle) }
      case .offset(let offset): try Self.add(-offset, to: &numbers)
      case .compact(let map): numbers = try map.codes(at: numbers)
      }
    }
    try check(numbers, below: vocabularies.before)
    return numbers
  }

  private func check(_ codes: [UInt64], below size: UInt64) throws(TesseraError) {
    guard let index = codes.firstIndex(where: { $0 >= size }) else { return }
    throw .codeOutOfRange(code: codes[index], index: index, vocabularySize: size)
  }

  private static func add(_ offset: Int, to codes: inout [UInt64]) throws(TesseraError) {
    for index in codes.indices {
      let (sum, overflow) = Int(codes[index]).addingReportingOverflow(offset)
      guard !overflow, sum >= 0 else {
        throw .mismatch(
          "the code at position \(index) is \(codes[index]), and the offset is \(-offset)"
        )
      }
      codes[index] = UInt64(sum)
    }
  }

  /// The digits of a code from one end, put together from the other.
  private static func reversed(_ code: UInt64, _ levels: [Int], isLittle: Bool) -> UInt64 {
    var rest = code
    var result: UInt64 = 0
    for level in isLittle ? levels : levels.reversed() {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: UInt64(level))
      result = result * UInt64(level) + digit
      rest = quotient
    }
    return result
  }
}

/// A list of the codes in use; a code's new number is its place.
package struct CompactMap: Hashable, Sendable {
  /// The codes, each once.
  package let codes: [UInt64]
  private let placeOfCode: [UInt64: UInt64]

  /// The most codes of a list.
  package static let largestCount = 1 << 24

  /// Creates a list.
  ///
  /// - Throws: `TesseraError` where it is empty, too long or names a code twice.
  package init(_ codes: [UInt64]) throws(TesseraError) {
    guard (1...Self.largestCount).contains(codes.count) else {
      throw .mismatch("a list of \(codes.count) codes, and 1 to 2^24 are possible")
    }
    var places: [UInt64: UInt64] = [:]
    places.reserveCapacity(codes.count)
    for (place, code) in codes.enumerated()
    where places.updateValue(UInt64(place), forKey: code) != nil {
      throw .mismatch("the list of codes names \(code) twice")
    }
    self.codes = codes
    placeOfCode = places
  }

  func places(of codes: [UInt64]) throws(TesseraError) -> [UInt64] {
    var places: [UInt64] = []
    places.reserveCapacity(codes.count)
    for (index, code) in codes.enumerated() {
      guard let place = placeOfCode[code] else {
        throw .mismatch(
          "the code at position \(index) is \(code), which the list of codes does not hold"
        )
      }
      places.append(place)
    }
    return places
  }

  func codes(at places: [UInt64]) throws(TesseraError) -> [UInt64] {
    var result: [UInt64] = []
    result.reserveCapacity(places.count)
    for (index, place) in places.enumerated() {
      guard place < codes.count else {
        throw .codeOutOfRange(code: place, index: index, vocabularySize: UInt64(codes.count))
      }
      result.append(codes[Int(place)])
    }
    return result
  }
}

extension QuantizerSpecification {
  /// The step that brings codes of this quantizer into an order of digits; nil where they are in it.
  ///
  /// - Throws: `TesseraError` where codes are no numbers of digits.
  package func step(to order: BinaryQuantizer.Order) throws(TesseraError) -> CodeReindexing.Step? {
    switch self {
    case .finiteScalar(let quantizer):
      return order == .little ? nil : .reversal(levels: quantizer.levels, isLittle: true)
    case .binary(let quantizer):
      let levels = [Int](repeating: 2, count: quantizer.dimensions)
      let isLittle = quantizer.order == .little
      return order == quantizer.order ? nil : .reversal(levels: levels, isLittle: isLittle)
    case .vector, .grouped, .residual, .multiScale:
      throw .mismatch("order: codes of this quantizer are no numbers of digits of one order")
    }
  }

  /// The step that makes codes of this quantizer those of another; nil where they are the same.
  ///
  /// - Throws: `TesseraError` where the two differ in more than the order of digits: a code says
  ///   which cell a latent fell into, and the other's cells are other ones.
  package func step(to other: QuantizerSpecification) throws(TesseraError) -> CodeReindexing.Step? {
    if self == other { return nil }
    if case .binary(let one) = self, case .binary(let two) = other, one.kind == two.kind,
      one.dimensions == two.dimensions
    {
      return try step(to: two.order)
    }
    throw .mismatch(
      "codes of one quantizer cannot become those of the other: a code says into which cell a latent fell, "
        + "and the cells of the two differ in more than the order of digits; quantize the latents with the "
        + "other one (tokenize --latents keeps them)"
    )
  }
}
