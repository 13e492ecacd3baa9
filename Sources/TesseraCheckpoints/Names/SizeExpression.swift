package import TesseraCore

/// A size in a recipe: numbers and names with `+ - * /` and parentheses, such as `r+2*n`.
package indirect enum SizeExpression: Hashable, Sendable {
  case number(Int)
  case name(String)
  case binary(Character, SizeExpression, SizeExpression)

  /// The longest text in bytes: the expression is as deep as it has signs.
  private static let lengthLimit = 1024

  /// Parses a text.
  ///
  /// - Throws: `TesseraError` where it is no expression.
  package init(parsing text: String) throws(TesseraError) {
    guard text.utf8.count <= SizeExpression.lengthLimit else {
      throw TesseraError.malformed("a size of \(text.utf8.count) characters is too long")
    }
    var parser = SizeParser(text)
    self = try parser.sum()
    guard parser.isAtEnd else { throw parser.error }
  }

  /// The names that occur, each as often as it does.
  package var names: [String] {
    switch self {
    case .number: []
    case .name(let name): [name]
    case .binary(_, let left, let right): left.names + right.names
    }
  }

  /// The value; nil where a name is unknown, a quotient is not whole or a number overflows.
  package func value(_ known: [String: Int]) -> Int? {
    switch self {
    case .number(let number): return number
    case .name(let name): return known[name]
    case .binary(let sign, let left, let right):
      guard let a = left.value(known), let b = right.value(known) else { return nil }
      return SizeExpression.apply(sign, a, b)
    }
  }

  /// The one unknown name and the value that makes the whole equal `result`.
  package func solved(for result: Int, _ known: [String: Int]) -> (name: String, value: Int)? {
    switch self {
    case .number: return nil
    case .name(let name): return known[name] == nil ? (name, result) : nil
    case .binary(let sign, let left, let right):
      if let b = right.value(known) {
        let inverse: Character = sign == "+" ? "-" : sign == "-" ? "+" : sign == "*" ? "/" : "*"
        return SizeExpression.apply(inverse, result, b).flatMap { left.solved(for: $0, known) }
      }
      guard let a = left.value(known) else { return nil }
      let rest: Int? =
        switch sign {
        case "+": SizeExpression.apply("-", result, a)
        case "-": SizeExpression.apply("-", a, result)
        case "*": SizeExpression.apply("/", result, a)
        default: SizeExpression.apply("/", a, result)
        }
      return rest.flatMap { right.solved(for: $0, known) }
    }
  }

  private static func apply(_ sign: Character, _ a: Int, _ b: Int) -> Int? {
    let (value, overflow): (Int, Bool)
    switch sign {
    case "+": (value, overflow) = a.addingReportingOverflow(b)
    case "-": (value, overflow) = a.subtractingReportingOverflow(b)
    case "*": (value, overflow) = a.multipliedReportingOverflow(by: b)
    default:
      guard b != 0, a != Int.min, a % b == 0 else { return nil }
      (value, overflow) = (a / b, false)
    }
    return overflow ? nil : value
  }
}

extension SizeExpression: CustomStringConvertible {
  /// The expression as recipes write it.
  package var description: String {
    switch self {
    case .number(let number): return "\(number)"
    case .name(let name): return name
    case .binary(let sign, let left, let right):
      let isProduct = sign == "*" || sign == "/"
      let a = isProduct && left.isSum ? "(\(left))" : "\(left)"
      let needsParentheses = isProduct ? !right.isAtom : sign == "-" && right.isSum
      return a + String(sign) + (needsParentheses ? "(\(right))" : "\(right)")
    }
  }

  private var isAtom: Bool { if case .binary = self { false } else { true } }
  private var isSum: Bool {
    if case .binary(let sign, _, _) = self { sign == "+" || sign == "-" } else { false }
  }
}

/// Reads an expression from left to right.
private struct SizeParser {
  private let text: String
  private var rest: Substring
  private var depth = 0

  init(_ text: String) {
    self.text = text
    rest = text.filter { $0 != " " }[...]
  }

  package var isAtEnd: Bool { rest.isEmpty }
  package var error: TesseraError {
    TesseraError.malformed("'\(text)' is no size: numbers, names, + - * / and ( )")
  }

  mutating func sum() throws(TesseraError) -> SizeExpression {
    var result = try product()
    while let sign = take("+-") { result = .binary(sign, result, try product()) }
    return result
  }

  private mutating func product() throws(TesseraError) -> SizeExpression {
    var result = try atom()
    while let sign = take("*/") { result = .binary(sign, result, try atom()) }
    return result
  }

  private mutating func atom() throws(TesseraError) -> SizeExpression {
    if take("(") != nil {
      depth += 1
      guard depth < 32 else { throw error }
      let inner = try sum()
      guard take(")") != nil else { throw error }
      depth -= 1
      return inner
    }
    let word = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    guard let first = word.first else { throw error }
    rest = rest.dropFirst(word.count)
    if !first.isNumber { return .name(String(word)) }
    guard let number = Int(word) else { throw error }
    return .number(number)
  }

  private mutating func take(_ signs: String) -> Character? {
    guard let first = rest.first, signs.contains(first) else { return nil }
    rest.removeFirst()
    return first
  }
}
