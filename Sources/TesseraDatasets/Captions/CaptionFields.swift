import TesseraCore

/// The fields of a JSON object that may hold a caption, or name the image that it is of.
struct CaptionFields {
  /// What a field holds.
  private enum Value {
    case text(String)
    /// A list of texts and nothing else.
    case texts([String])
    case null
    /// Something that is no caption, in words.
    case other(String)
  }

  private var values: [String: Value] = [:]
  private var names: [String] = []

  /// Reads an object.
  ///
  /// - Throws: ``CaptionFault`` for what is none.
  init(parsing json: [UInt8]) throws(CaptionFault) {
    var values: [String: Value] = [:]
    var names: [String] = []
    do {
      try JSONScanner.read(json) { scanner in
        guard scanner.next == UInt8(ascii: "{") else { throw scanner.failure("not a JSON object") }
        try scanner.object { scanner, name in
          let value = try Self.value(&scanner)
          names.append(name)
          guard values.updateValue(value, forKey: name.lowercased()) == nil else {
            throw scanner.failure("two fields '\(name)' that differ in case alone")
          }
        }
      }
    } catch let error as JSONScanner.Failure {
      throw CaptionFault("not a JSON object: byte \(error.offset): \(error.cause)")
    } catch {
      throw CaptionFault("\(error)")
    }
    self.values = values
    self.names = names
  }

  private static func value(_ scanner: inout JSONScanner) throws -> Value {
    switch scanner.next {
    case UInt8(ascii: "\""): return .text(try scanner.string())
    case UInt8(ascii: "{"):
      try scanner.skip()
      return .other("an object")
    case UInt8(ascii: "["):
      var texts: [String] = []
      var isAllText = true
      try scanner.array { scanner in
        if scanner.next == UInt8(ascii: "\"") {
          texts.append(try scanner.string())
        } else {
          isAllText = false
          try scanner.skip()
        }
      }
      return isAllText ? .texts(texts) : .other("a list of other things than texts")
    default:
      let word = try scanner.literal()
      return word == "null" ? .null : .other(["true", "false"].contains(word) ? word : "a number")
    }
  }

  /// The first text among fields.
  func text(among names: [String]) -> String? {
    for name in names {
      if case .text(let text)? = values[name] { return text }
    }
    return nil
  }

  /// The captions: one, or a list of them where the rules choose among several; nil where their field says that
  /// there is none, by null or an empty list.
  ///
  /// - Throws: ``CaptionFault`` where the first field that holds anything holds no text, or none is there.
  func captions(under rules: CaptionRules) throws(CaptionFault) -> [String]? {
    var isNull = false
    for name in rules.columns {
      switch values[name] {
      case nil: continue
      case .null: isNull = true
      case .text(let text): return [text]
      case .texts(let texts):
        guard rules.choice != nil else {
          throw CaptionFault(
            "'\(name)' is a list, and a caption is one string: choose by --captions-per-image, or join them"
          )
        }
        if !texts.isEmpty { return texts }
        isNull = true
      case .other(let kind):
        throw CaptionFault("'\(name)' is \(kind), and a caption is one string: choose or join them")
      }
    }
    if isNull { return nil }
    let found = names.prefix(8).map { "'\($0.prefix(40))'" }.joined(separator: ", ")
    throw CaptionFault(
      "no caption: \(rules.columns.count > 1 ? "one of " : "")\(rules.columns.joined(separator: ", ")); it has "
        + (found.isEmpty ? "no field" : found)
    )
  }
}
