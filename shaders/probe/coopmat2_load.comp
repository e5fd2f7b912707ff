#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 128) in;
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Word { uint v; };
layout(push_constant) uniform Push { uvec2 words; };
float16_t decode(const in Word word, const in uint block[2], const in uint inside[2])
{
    return float16_t(float(word.v + block[0] + inside[1]));
}
void main()
{
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> tensor =
        createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    tensor = setTensorLayoutDimensionNV(tensor, 64, 32);
    tensor = setTensorLayoutStrideNV(tensor, 0, 0);
    coopmat<float16_t, gl_ScopeWorkgroup, 64, 32, gl_MatrixUseA> a;
    coopMatLoadTensorNV(a, Words(words).v, 0, sliceTensorLayoutNV(tensor, 0, 64, 0, 32), decode);
}
