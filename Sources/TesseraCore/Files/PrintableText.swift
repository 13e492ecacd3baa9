extension String {
  /// The text with control characters escaped: names from a file must not steer a terminal.
  package var printable: String {
    unicodeScalars.reduce(into: "") { text, scalar in
      let isControl = scalar.properties.generalCategory == .control && scalar != "\n"
      text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
    }
  }
}
