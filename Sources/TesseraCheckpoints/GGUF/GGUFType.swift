import TesseraCore

/// The types of a GGUF tensor that can be read.
enum GGUFType: Int, Sendable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case q8_K = 15
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case bf16 = 30

  /// Elements and bytes of a block; one element for plain types.
  var block: (elements: Int, bytes: Int) {
    switch self {
    case .f32, .i32: (1, 4)
    case .f16, .i16, .bf16: (1, 2)
    case .i8: (1, 1)
    case .i64, .f64: (1, 8)
    case .q4_0: (32, 18)
    case .q4_1: (32, 20)
    case .q5_0: (32, 22)
    case .q5_1: (32, 24)
    case .q8_0: (32, 34)
    case .q2_K: (256, 84)
    case .q3_K: (256, 110)
    case .q4_K: (256, 144)
    case .q5_K: (256, 176)
    case .q6_K: (256, 210)
    case .q8_K: (256, 292)
    }
  }

  /// What the elements are when they are read: quantized ones become float32.
  var elementType: ElementType {
    switch self {
    case .f16: .float16
    case .bf16: .bfloat16
    case .f64: .float64
    case .i8: .int8
    case .i16: .int16
    case .i32: .int32
    case .i64: .int64
    default: .float32
    }
  }

  /// Whether elements share a scale with their block.
  var isQuantized: Bool { block.elements > 1 }

  /// ggml's name.
  var name: String { "\(self)".uppercased() }

  /// ggml's other types, whose blocks need tables or are only used while computing: bytes and
  /// elements of a block, and the name.
  static let unreadable: [Int: (elements: Int, bytes: Int, name: String)] = [
    9: (32, 40, "Q8_1"), 16: (256, 66, "IQ2_XXS"), 17: (256, 74, "IQ2_XS"),
    18: (256, 98, "IQ3_XXS"), 19: (256, 50, "IQ1_S"), 20: (32, 18, "IQ4_NL"),
    21: (256, 110, "IQ3_S"), 22: (256, 82, "IQ2_S"), 23: (256, 136, "IQ4_XS"),
    29: (256, 56, "IQ1_M"), 34: (256, 54, "TQ1_0"), 35: (256, 66, "TQ2_0"), 39: (32, 17, "MXFP4"),
    40: (64, 36, "NVFP4"), 41: (128, 18, "Q1_0"),
  ]
}
