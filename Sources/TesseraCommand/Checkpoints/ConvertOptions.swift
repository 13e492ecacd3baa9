import ArgumentParser
import TesseraCore

/// A number of bytes as people write it: `5GB` is 5 · 10^9, `2GiB` is 2 · 2^30.
struct ByteSize: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let units: [String: Int] = [
      "": 1, "B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000,
      "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
    ]
    let unit = argument.dropFirst(digits.count).uppercased()
    guard let number = Int(digits), number > 0, let factor = units[unit] else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    self.bytes = bytes
  }
}

/// The types that files store without saying so, under the names that NumPy and PyTorch use.
enum OpaqueType: String, ExpressibleByArgument, CaseIterable {
  case bfloat16, float16
  case float8E4M3 = "float8_e4m3fn"
  case float8E5M2 = "float8_e5m2"
  case float8E4M3FNUZ = "float8_e4m3fnuz"
  case float8E5M2FNUZ = "float8_e5m2fnuz"

  /// The element type of this name.
  var elementType: ElementType {
    switch self {
    case .bfloat16: .bfloat16
    case .float16: .float16
    case .float8E4M3: .float8E4M3
    case .float8E5M2: .float8E5M2
    case .float8E4M3FNUZ: .float8E4M3FNUZ
    case .float8E5M2FNUZ: .float8E5M2FNUZ
    }
  }
}
