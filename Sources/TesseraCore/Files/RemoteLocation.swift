/// Names such as `s3://bucket/x`: to the file system a folder `s3:`, to their writer a place on a network,
/// which nothing here reaches.
package enum RemoteLocation {
  /// What an argument that holds such a name means, such as `s3`; nil for any other.
  ///
  /// Names may stand behind a family's name or an option's, as in `llamagen:hf://a/b` and `--out=s3://a`.
  package static func scheme(in argument: String) -> String? {
    let bytes = Array(argument.utf8)
    guard let mark = bytes.firstRange(of: Array("://".utf8)) else { return nil }
    let scheme = bytes[..<mark.lowerBound].reversed().prefix { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "."):
        true
      default: false
      }
    }
    return scheme.isEmpty ? nil : String(decoding: scheme.reversed(), as: UTF8.self)
  }

  /// What to do about such a name.
  package static func advice(for scheme: String) -> String {
    switch scheme.lowercased() {
    case "file": "write the path alone, without file://"
    case "hf":
      "it reads and writes local files alone: fetch with 'hf download', and name the local folder"
    case "http", "https", "ftp":
      "it reads and writes local files alone: download it, and name the local file"
    default:
      "it reads and writes local files alone: name a local path, and copy to or from \(scheme) with "
        + "its own tool"
    }
  }
}
