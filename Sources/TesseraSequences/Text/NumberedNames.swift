/// Names that are a number between a prefix and a suffix.
struct NumberedNames {
  private let prefix: [UInt8]
  private let suffix: [UInt8]
  private let zero: UInt8

  /// More digits are no number of a code.
  private static let mostDigits = 11

  /// - Parameters:
  ///   - prefix: What the names begin with.
  ///   - suffix: What they end with.
  ///   - letters: Whether the digits are written A to J, as Chameleon does.
  init(prefix: String, suffix: String, letters: Bool) {
    self.prefix = Array(prefix.utf8)
    self.suffix = Array(suffix.utf8)
    zero = letters ? UInt8(ascii: "A") : UInt8(ascii: "0")
  }

  /// The number of a name; nil where it is none.
  func number(of name: some BidirectionalCollection<UInt8>) -> Int? {
    let digits = name.count - prefix.count - suffix.count
    guard (1...Self.mostDigits).contains(digits), name.starts(with: prefix),
      name.suffix(suffix.count).elementsEqual(suffix)
    else { return nil }
    var number = 0
    for digit in name.dropFirst(prefix.count).dropLast(suffix.count) {
      guard digit >= zero, digit < zero + 10 else { return nil }
      number = number * 10 + Int(digit - zero)
    }
    return number
  }
}
