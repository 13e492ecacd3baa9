/// JSON texts written byte by byte as other writers write them.
package enum JSONText {
  /// A string in quotes with the escapes of Rust's serde_json: as few as JSON allows.
  package static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\u{8}": quoted += "\\b"
      case "\u{C}": quoted += "\\f"
      case "\n": quoted += "\\n"
      case "\r": quoted += "\\r"
      case "\t": quoted += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// A string in quotes as Python's `json.dumps` writes it: ASCII only.
  package static func quotedASCII(_ text: String) -> String {
    quoted(text).unicodeScalars.reduce(into: "") { ascii, scalar in
      if scalar.value == 0x7F || scalar.isASCII {
        ascii.unicodeScalars.append(scalar)
        return
      }
      for unit in String(scalar).utf16 {
        let digits = String(unit, radix: 16)
        ascii += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
  }

  /// An object of strings on one line, its keys in the order of their bytes.
  package static func object(_ members: [String: String]) -> String {
    let sorted = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let texts = sorted.map { "\(quoted($0.key)):\(quoted($0.value))" }
    return "{\(texts.joined(separator: ","))}"
  }
}
