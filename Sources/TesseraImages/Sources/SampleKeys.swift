import Crypto

/// The names of samples, made from the paths of their images.
///
/// A key is the path without its extension, with dots as `_`: readers of WebDataset end the key at
/// the first dot. Bytes outside printable ASCII become `%XX`, and long keys end in a hash, since some
/// readers take no more than tar's own 100-byte name, of which the longest member ending, `.soft_indices.npy`,
/// takes 17.
enum SampleKeys {
  /// The greatest number of bytes of a key.
  static let longest = 83

  /// One key a path, all different, in the same order.
  ///
  /// Where the keys of several paths are equal, each takes `_` and its extension; where they are
  /// still equal, all but the first take `_2`, `_3`, … in order.
  static func unique(for paths: [String]) -> [String] {
    var uses: [String: Int] = [:]
    for path in paths { uses[plain(path), default: 0] += 1 }
    let keys = paths.map { path in
      let key = plain(path)
      guard uses[key, default: 0] > 1, let ending = ending(of: path) else { return fitted(key) }
      return fitted(key + "_" + printable(ending))
    }
    var taken = Set<String>(minimumCapacity: keys.count)
    var next: [String: Int] = [:]
    return keys.map { key in
      var candidate = key
      while !taken.insert(candidate).inserted {
        let number = next[key, default: 2]
        next[key] = number + 1
        candidate = fitted("\(key)_\(number)")
      }
      return candidate
    }
  }

  private static func ending(of path: String) -> Substring? {
    let name = path.split(separator: "/").last ?? ""
    // A name that only begins with a dot has no extension.
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
    return name[name.index(after: dot)...]
  }

  private static func plain(_ path: String) -> String {
    let ending = ending(of: path)
    return printable(ending.map { path.dropLast($0.count + 1) } ?? path[...])
  }

  private static func printable(_ text: Substring) -> String {
    var key = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "."): key += "_"
      case 0x20..<0x7F: key.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        key += byte < 16 ? "%0" : "%"
        key += String(byte, radix: 16, uppercase: true)
      }
    }
    return key
  }

  private static func fitted(_ key: String) -> String {
    guard key.utf8.count > longest else { return key }
    let hash = SHA256.hash(data: Array(key.utf8)).prefix(8).map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return String(key.prefix(longest - 17)) + "~" + hash.joined()
  }
}
