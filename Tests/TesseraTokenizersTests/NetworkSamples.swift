import Fixtures
import Foundation
import TesseraCore
import TesseraTokenizers

/// Numbers in [-1, 1), as many as asked for: `draw` of fixtures/network/make.py.
///
/// Splitmix64 over 0, 1, 2 and so on
/// from the hash (FNV-1a) of the name.
func draw(_ name: String, _ count: Int) -> [Float] {
  var state: UInt64 = 0xcbf2_9ce4_8422_2325
  for byte in name.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
  return (0..<count).map { _ in
    state &+= 0x9e37_79b9_7f4a_7c15
    var x = state
    x = (x ^ (x >> 30)) &* 0xbf58_476d_1ce4_e5b9
    x = (x ^ (x >> 27)) &* 0x94d0_49bb_1331_11eb
    x ^= x >> 31
    return Float(x >> 40) / 8_388_608 - 1
  }
}

/// The weights that `parameter` of fixtures/network/make.py draws.
func drawParameter(_ name: String, _ shape: Shape) -> [Float] {
  let values = draw(name, shape.elementCount ?? 0)
  if name.contains(".norm") {
    let mean: Float = name.hasSuffix("weight") ? 1 : 0
    return values.map { $0 * 0.375 + mean }
  }
  if name.hasSuffix("bias") { return values.map { $0 * 0.125 } }
  let inputs = shape.dimensions.dropFirst().reduce(1, *)
  let scale = Float((3 / Double(inputs)).squareRoot())
  return values.map { $0 * scale }
}

/// A network of fixtures/network/cases.json.
struct NetworkSample: Decodable {
  let height: Int
  let width: Int
  let shapes: [String: [Int]]

  /// The shapes as a checkpoint's reader would give them.
  var tensors: [String: Shape] { shapes.mapValues { Shape($0) } }

  /// All samples, by name.
  static func all() throws -> [String: NetworkSample] {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("network/cases.json")))
    return try JSONDecoder().decode([String: NetworkSample].self, from: data)
  }

  /// A network with drawn weights.
  func network(_ graph: NetworkGraph) throws -> ConvolutionalNetwork {
    let tensors = tensors
    return try ConvolutionalNetwork(graph) { name in
      tensors[name].map { ($0, drawParameter(name, $0)) }
    }
  }

  /// What PyTorch gave.
  static func golden(_ name: String) throws -> [Float] {
    let file = "network/\(name).npy"
    let data = try Data(contentsOf: URL(filePath: Fixtures.path(file)))
    return try NPYFile.decode([UInt8](data), from: file).floats()
  }
}

/// The instruction sets of this processor.
let instructionSets = InstructionSet.allCases.filter(\.isSupported)

/// Bits, in which equal is equal and -0 is not 0.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// The largest absolute difference; not a number where the counts differ or a value is none.
func largestDifference(_ values: [Float], _ expected: [Float]) -> Float {
  guard values.count == expected.count else { return .nan }
  return zip(values, expected).reduce(0) { largest, pair in
    let difference = abs(pair.0 - pair.1)
    return difference > largest || difference.isNaN ? difference : largest
  }
}
